-- AlterTable
ALTER TABLE "ConnectionTerms" ADD COLUMN     "asksAnew" BOOLEAN NOT NULL DEFAULT true;

-- AlterTable
ALTER TABLE "FederatedIdentity" ADD COLUMN     "consentUntil" TIMESTAMPTZ(3);
