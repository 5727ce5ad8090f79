-- AlterTable
ALTER TABLE "FormerIdentity" ADD COLUMN     "identityId" UUID NOT NULL,
ADD COLUMN     "reason" TEXT NOT NULL,
ADD COLUMN     "sealedAddress" TEXT;

-- CreateIndex
CREATE INDEX "FormerIdentity_identityId_unlinkedAt_idx" ON "FormerIdentity"("identityId", "unlinkedAt");
