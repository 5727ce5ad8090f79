-- CreateEnum
CREATE TYPE "LinkConflictOutcome" AS ENUM ('kept', 'moved', 'merged', 'dismissed');

-- AlterTable
ALTER TABLE "Client" ADD COLUMN     "managesLinks" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "ClientConnection" ADD COLUMN     "discloses" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "handsOut" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "vouches" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "Connection" ADD COLUMN     "promptAfterSignIn" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "promptEveryDays" INTEGER NOT NULL DEFAULT 30;

-- AlterTable
ALTER TABLE "FederatedIdentity" ADD COLUMN     "consentUntil" TIMESTAMPTZ(3),
ADD COLUMN     "friendshipChangedAt" TIMESTAMPTZ(3),
ADD COLUMN     "isFriend" BOOLEAN,
ADD COLUMN     "needsRelinkReason" TEXT,
ADD COLUMN     "needsRelinkSince" TIMESTAMPTZ(3),
ADD COLUMN     "way" TEXT NOT NULL DEFAULT 'account_page';

-- AlterTable
ALTER TABLE "LinkConsent" ADD COLUMN     "clientId" TEXT,
ADD COLUMN     "expiresAt" TIMESTAMPTZ(3),
ADD COLUMN     "place" JSONB,
ADD COLUMN     "reconsentReason" TEXT,
ADD COLUMN     "reconsentSince" TIMESTAMPTZ(3),
ADD COLUMN     "way" TEXT NOT NULL DEFAULT 'account_page';

-- AlterTable
ALTER TABLE "UpstreamToken" ADD COLUMN     "expiresAt" TIMESTAMPTZ(3),
ADD COLUMN     "refreshingUntil" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "FormerIdentity" (
    "id" UUID NOT NULL,
    "identityId" UUID NOT NULL,
    "memberId" UUID NOT NULL,
    "connectionId" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "linkedAt" TIMESTAMPTZ(3) NOT NULL,
    "unlinkedAt" TIMESTAMPTZ(3) NOT NULL,
    "coolOffUntil" TIMESTAMPTZ(3) NOT NULL,
    "reason" TEXT NOT NULL,
    "sealedAddress" TEXT,

    CONSTRAINT "FormerIdentity_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ConnectionTerms" (
    "connectionId" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "text" JSONB NOT NULL,
    "consentDays" INTEGER,
    "asksAnew" BOOLEAN NOT NULL DEFAULT true,
    "publishedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "ConnectionTerms_pkey" PRIMARY KEY ("connectionId","version")
);

-- CreateTable
CREATE TABLE "LinkConflict" (
    "id" UUID NOT NULL,
    "connectionId" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "ownerId" UUID NOT NULL,
    "claimantId" UUID NOT NULL,
    "way" TEXT NOT NULL,
    "foundAt" TIMESTAMPTZ(3) NOT NULL,
    "raisedAt" TIMESTAMPTZ(3),
    "outcome" "LinkConflictOutcome",
    "decidedAt" TIMESTAMPTZ(3),
    "decidedBy" TEXT,
    "note" TEXT,
    "open" BOOLEAN DEFAULT true,

    CONSTRAINT "LinkConflict_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Merge" (
    "id" UUID NOT NULL,
    "survivorId" UUID NOT NULL,
    "absorbedId" UUID NOT NULL,
    "decidedBy" TEXT NOT NULL,
    "reason" TEXT,
    "mergedAt" TIMESTAMPTZ(3) NOT NULL,
    "undoUntil" TIMESTAMPTZ(3) NOT NULL,
    "undoRequestedAt" TIMESTAMPTZ(3),
    "undoRequestedBy" TEXT,
    "undoneAt" TIMESTAMPTZ(3),
    "undoneBy" TEXT,

    CONSTRAINT "Merge_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "MergeJournal" (
    "mergeId" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "table" TEXT NOT NULL,
    "key" JSONB NOT NULL,
    "before" JSONB,
    "after" JSONB,

    CONSTRAINT "MergeJournal_pkey" PRIMARY KEY ("mergeId","position")
);

-- CreateTable
CREATE TABLE "UpstreamNotice" (
    "id" UUID NOT NULL,
    "connectionId" TEXT NOT NULL,
    "noticeId" TEXT NOT NULL,
    "sealed" TEXT NOT NULL,
    "receivedAt" TIMESTAMPTZ(3) NOT NULL,
    "handledAt" TIMESTAMPTZ(3),

    CONSTRAINT "UpstreamNotice_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "MessagingChannel" (
    "connectionId" TEXT NOT NULL,
    "channelId" TEXT NOT NULL,
    "sealedSecret" TEXT NOT NULL,
    "botUserId" TEXT NOT NULL,
    "linkedRichMenuId" TEXT,
    "unlinkedRichMenuId" TEXT,
    "linkWords" TEXT[],
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "MessagingChannel_pkey" PRIMARY KEY ("connectionId")
);

-- CreateTable
CREATE TABLE "Campaign" (
    "id" TEXT NOT NULL,
    "connectionId" TEXT NOT NULL,
    "name" JSONB NOT NULL,
    "rewardLabel" JSONB NOT NULL,
    "amount" INTEGER NOT NULL,
    "unit" TEXT NOT NULL,
    "startsAt" TIMESTAMPTZ(3) NOT NULL,
    "endsAt" TIMESTAMPTZ(3) NOT NULL,
    "budget" INTEGER,
    "granted" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,
    "disabledAt" TIMESTAMPTZ(3),

    CONSTRAINT "Campaign_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Reward" (
    "id" UUID NOT NULL,
    "campaignId" TEXT NOT NULL,
    "memberId" UUID NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "consentId" UUID NOT NULL,
    "grantedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "Reward_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "LinkPrompt" (
    "memberId" UUID NOT NULL,
    "connectionId" TEXT NOT NULL,
    "shown" INTEGER NOT NULL DEFAULT 0,
    "lastShownAt" TIMESTAMPTZ(3) NOT NULL,
    "dismissedAt" TIMESTAMPTZ(3),

    CONSTRAINT "LinkPrompt_pkey" PRIMARY KEY ("memberId","connectionId")
);

-- CreateTable
CREATE TABLE "PairwiseAccount" (
    "sector" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "PairwiseAccount_pkey" PRIMARY KEY ("sector","issuer","subject")
);

-- CreateTable
CREATE TABLE "KnownMember" (
    "clientId" TEXT NOT NULL,
    "memberId" UUID NOT NULL,
    "firstAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "KnownMember_pkey" PRIMARY KEY ("clientId","memberId")
);

-- CreateIndex
CREATE INDEX "FormerIdentity_issuer_subject_idx" ON "FormerIdentity"("issuer", "subject");

-- CreateIndex
CREATE INDEX "FormerIdentity_identityId_unlinkedAt_idx" ON "FormerIdentity"("identityId", "unlinkedAt");

-- CreateIndex
CREATE INDEX "FormerIdentity_memberId_idx" ON "FormerIdentity"("memberId");

-- CreateIndex
CREATE INDEX "LinkConflict_raisedAt_idx" ON "LinkConflict"("raisedAt");

-- CreateIndex
CREATE INDEX "LinkConflict_ownerId_idx" ON "LinkConflict"("ownerId");

-- CreateIndex
CREATE INDEX "LinkConflict_claimantId_idx" ON "LinkConflict"("claimantId");

-- CreateIndex
CREATE UNIQUE INDEX "LinkConflict_issuer_subject_ownerId_claimantId_open_key" ON "LinkConflict"("issuer", "subject", "ownerId", "claimantId", "open");

-- CreateIndex
CREATE INDEX "Merge_survivorId_idx" ON "Merge"("survivorId");

-- CreateIndex
CREATE INDEX "Merge_absorbedId_idx" ON "Merge"("absorbedId");

-- CreateIndex
CREATE INDEX "UpstreamNotice_handledAt_idx" ON "UpstreamNotice"("handledAt");

-- CreateIndex
CREATE UNIQUE INDEX "UpstreamNotice_connectionId_noticeId_key" ON "UpstreamNotice"("connectionId", "noticeId");

-- CreateIndex
CREATE UNIQUE INDEX "MessagingChannel_botUserId_key" ON "MessagingChannel"("botUserId");

-- CreateIndex
CREATE INDEX "Campaign_connectionId_idx" ON "Campaign"("connectionId");

-- CreateIndex
CREATE INDEX "Reward_memberId_idx" ON "Reward"("memberId");

-- CreateIndex
CREATE UNIQUE INDEX "Reward_campaignId_memberId_key" ON "Reward"("campaignId", "memberId");

-- CreateIndex
CREATE UNIQUE INDEX "Reward_campaignId_issuer_subject_key" ON "Reward"("campaignId", "issuer", "subject");

-- CreateIndex
CREATE INDEX "LinkPrompt_connectionId_idx" ON "LinkPrompt"("connectionId");

-- CreateIndex
CREATE UNIQUE INDEX "PairwiseAccount_name_key" ON "PairwiseAccount"("name");

-- CreateIndex
CREATE INDEX "KnownMember_memberId_idx" ON "KnownMember"("memberId");

-- CreateIndex
CREATE INDEX "Event_type_occurredAt_idx" ON "Event"("type", "occurredAt");

-- CreateIndex
CREATE INDEX "FederatedIdentity_connectionId_idx" ON "FederatedIdentity"("connectionId");

-- CreateIndex
CREATE INDEX "Grant_clientId_memberId_idx" ON "Grant"("clientId", "memberId");

-- CreateIndex
CREATE INDEX "LinkConsent_issuer_subject_idx" ON "LinkConsent"("issuer", "subject");

-- CreateIndex
CREATE INDEX "LinkConsent_connectionId_agreedAt_idx" ON "LinkConsent"("connectionId", "agreedAt");

-- AddForeignKey
ALTER TABLE "FormerIdentity" ADD CONSTRAINT "FormerIdentity_memberId_fkey" FOREIGN KEY ("memberId") REFERENCES "Member"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "FormerIdentity" ADD CONSTRAINT "FormerIdentity_connectionId_fkey" FOREIGN KEY ("connectionId") REFERENCES "Connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ConnectionTerms" ADD CONSTRAINT "ConnectionTerms_connectionId_fkey" FOREIGN KEY ("connectionId") REFERENCES "Connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "LinkConflict" ADD CONSTRAINT "LinkConflict_connectionId_fkey" FOREIGN KEY ("connectionId") REFERENCES "Connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "LinkConflict" ADD CONSTRAINT "LinkConflict_ownerId_fkey" FOREIGN KEY ("ownerId") REFERENCES "Member"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "LinkConflict" ADD CONSTRAINT "LinkConflict_claimantId_fkey" FOREIGN KEY ("claimantId") REFERENCES "Member"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Merge" ADD CONSTRAINT "Merge_survivorId_fkey" FOREIGN KEY ("survivorId") REFERENCES "Member"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Merge" ADD CONSTRAINT "Merge_absorbedId_fkey" FOREIGN KEY ("absorbedId") REFERENCES "Member"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "MergeJournal" ADD CONSTRAINT "MergeJournal_mergeId_fkey" FOREIGN KEY ("mergeId") REFERENCES "Merge"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "UpstreamNotice" ADD CONSTRAINT "UpstreamNotice_connectionId_fkey" FOREIGN KEY ("connectionId") REFERENCES "Connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "MessagingChannel" ADD CONSTRAINT "MessagingChannel_connectionId_fkey" FOREIGN KEY ("connectionId") REFERENCES "Connection"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Campaign" ADD CONSTRAINT "Campaign_connectionId_fkey" FOREIGN KEY ("connectionId") REFERENCES "Connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Reward" ADD CONSTRAINT "Reward_campaignId_fkey" FOREIGN KEY ("campaignId") REFERENCES "Campaign"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Reward" ADD CONSTRAINT "Reward_memberId_fkey" FOREIGN KEY ("memberId") REFERENCES "Member"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "LinkPrompt" ADD CONSTRAINT "LinkPrompt_memberId_fkey" FOREIGN KEY ("memberId") REFERENCES "Member"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "LinkPrompt" ADD CONSTRAINT "LinkPrompt_connectionId_fkey" FOREIGN KEY ("connectionId") REFERENCES "Connection"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "KnownMember" ADD CONSTRAINT "KnownMember_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES "Client"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "KnownMember" ADD CONSTRAINT "KnownMember_memberId_fkey" FOREIGN KEY ("memberId") REFERENCES "Member"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Whoever has a grant has been given the member's `sub`.
INSERT INTO "KnownMember" ("clientId", "memberId", "firstAt")
SELECT "clientId", "memberId", min("createdAt") FROM "Grant" GROUP BY "clientId", "memberId"
ON CONFLICT DO NOTHING;
