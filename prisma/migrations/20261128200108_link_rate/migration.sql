-- AlterTable
ALTER TABLE "Reward" ADD COLUMN     "consentId" UUID NOT NULL;

-- CreateIndex
CREATE INDEX "Event_type_occurredAt_idx" ON "Event"("type", "occurredAt");

-- CreateIndex
CREATE INDEX "LinkConsent_issuer_subject_idx" ON "LinkConsent"("issuer", "subject");
