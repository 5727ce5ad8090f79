-- AlterTable
ALTER TABLE "FederatedIdentity" ADD COLUMN     "friendshipChangedAt" TIMESTAMPTZ(3),
ADD COLUMN     "isFriend" BOOLEAN;

-- AlterTable
ALTER TABLE "MessagingChannel" ADD COLUMN     "linkWords" TEXT[];

-- CreateIndex
CREATE INDEX "UpstreamNotice_handledAt_idx" ON "UpstreamNotice"("handledAt");
