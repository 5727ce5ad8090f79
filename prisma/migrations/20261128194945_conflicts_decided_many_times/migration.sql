-- DropIndex
DROP INDEX "LinkConflict_issuer_subject_ownerId_claimantId_key";

-- AlterTable
ALTER TABLE "LinkConflict" ADD COLUMN     "open" BOOLEAN DEFAULT true;

-- CreateIndex
CREATE UNIQUE INDEX "LinkConflict_issuer_subject_ownerId_claimantId_open_key" ON "LinkConflict"("issuer", "subject", "ownerId", "claimantId", "open");
