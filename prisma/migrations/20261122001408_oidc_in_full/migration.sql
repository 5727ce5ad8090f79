-- CreateEnum
CREATE TYPE "ClientProfile" AS ENUM ('web', 'spa', 'native', 'machine', 'device', 'fapi2');

-- CreateEnum
CREATE TYPE "RegistrationTokenKind" AS ENUM ('initial', 'registration');

-- CreateEnum
CREATE TYPE "TokenFormat" AS ENUM ('jwt', 'opaque');

-- AlterEnum
ALTER TYPE "MemberStatus" ADD VALUE 'deleted';
ALTER TYPE "MemberStatus" ADD VALUE 'absorbed';

-- AlterTable
ALTER TABLE "Client" ADD COLUMN     "profile" "ClientProfile" NOT NULL DEFAULT 'web';
-- Public clients so far were browser applications.
UPDATE "Client" SET "profile" = 'spa' WHERE "metadata"->>'token_endpoint_auth_method' = 'none';

-- AlterTable
ALTER TABLE "ClientSecret" ADD COLUMN     "lastUsedAt" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "Grant" ADD COLUMN     "lastUsedAt" TIMESTAMPTZ(3);
-- Consent to linked accounts has named all of the client's connections so far, which could not change.
UPDATE "Grant" g SET "payload" = jsonb_set(g."payload", '{resources}',
    coalesce(g."payload"->'resources', '{}') || jsonb_build_object('urn:hitotsu:linked-accounts', c."ids"))
FROM (
    SELECT "clientId", string_agg("connectionId", ' ' ORDER BY "connectionId") AS "ids"
    FROM "ClientConnection" GROUP BY "clientId"
) c
WHERE c."clientId" = g."clientId"
    AND 'linked_accounts' = ANY (string_to_array(g."payload"->'openid'->>'scope', ' '));

-- AlterTable
ALTER TABLE "Member" ADD COLUMN     "address" JSONB,
ADD COLUMN     "middleName" TEXT,
ADD COLUMN     "phoneNumber" TEXT,
ADD COLUMN     "phoneVerifiedAt" TIMESTAMPTZ(3),
ADD COLUMN     "preferredUsername" TEXT,
ADD COLUMN     "profile" TEXT,
ADD COLUMN     "website" TEXT;
-- Whole seconds, as sessions have them.
UPDATE "Member" SET "sessionsValidFrom" = date_trunc('second', "sessionsValidFrom");

-- AlterTable
ALTER TABLE "SigningKey" ADD COLUMN     "activeFrom" TIMESTAMPTZ(3),
ADD COLUMN     "destroyedAt" TIMESTAMPTZ(3),
ADD COLUMN     "retiredAt" TIMESTAMPTZ(3),
ALTER COLUMN "sealedPrivate" DROP NOT NULL;
UPDATE "SigningKey" SET "activeFrom" = "createdAt";
ALTER TABLE "SigningKey" ALTER COLUMN "activeFrom" SET NOT NULL;

-- CreateTable
CREATE TABLE "RegistrationToken" (
    "digest" TEXT NOT NULL,
    "kind" "RegistrationTokenKind" NOT NULL,
    "clientId" TEXT,
    "label" TEXT,
    "uses" INTEGER NOT NULL DEFAULT 0,
    "maxUses" INTEGER,
    "payload" JSONB NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3),

    CONSTRAINT "RegistrationToken_pkey" PRIMARY KEY ("digest")
);

-- CreateTable
CREATE TABLE "PairwiseSubject" (
    "sector" TEXT NOT NULL,
    "memberId" UUID NOT NULL,
    "subject" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "PairwiseSubject_pkey" PRIMARY KEY ("sector","memberId")
);

-- CreateTable
CREATE TABLE "Resource" (
    "id" TEXT NOT NULL,
    "name" JSONB NOT NULL,
    "scopes" TEXT[],
    "tokenFormat" "TokenFormat" NOT NULL DEFAULT 'jwt',
    "tokenTtl" INTEGER NOT NULL DEFAULT 600,
    "introspectorId" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,
    "disabledAt" TIMESTAMPTZ(3),

    CONSTRAINT "Resource_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ClientResource" (
    "clientId" TEXT NOT NULL,
    "resourceId" TEXT NOT NULL,
    "scopes" TEXT[],

    CONSTRAINT "ClientResource_pkey" PRIMARY KEY ("clientId","resourceId")
);

-- CreateTable
CREATE TABLE "ClientSession" (
    "sid" TEXT NOT NULL,
    "clientId" TEXT NOT NULL,
    "memberId" UUID NOT NULL,
    "startedAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "ClientSession_pkey" PRIMARY KEY ("sid")
);

-- CreateIndex
CREATE UNIQUE INDEX "RegistrationToken_label_key" ON "RegistrationToken"("label");

-- CreateIndex
CREATE INDEX "RegistrationToken_clientId_idx" ON "RegistrationToken"("clientId");

-- CreateIndex
CREATE UNIQUE INDEX "PairwiseSubject_subject_key" ON "PairwiseSubject"("subject");

-- CreateIndex
CREATE INDEX "PairwiseSubject_memberId_idx" ON "PairwiseSubject"("memberId");

-- CreateIndex
CREATE INDEX "Resource_introspectorId_idx" ON "Resource"("introspectorId");

-- CreateIndex
CREATE INDEX "ClientSession_memberId_idx" ON "ClientSession"("memberId");

-- CreateIndex
CREATE INDEX "ClientSession_expiresAt_idx" ON "ClientSession"("expiresAt");

-- AddForeignKey
ALTER TABLE "RegistrationToken" ADD CONSTRAINT "RegistrationToken_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES "Client"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PairwiseSubject" ADD CONSTRAINT "PairwiseSubject_memberId_fkey" FOREIGN KEY ("memberId") REFERENCES "Member"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Resource" ADD CONSTRAINT "Resource_introspectorId_fkey" FOREIGN KEY ("introspectorId") REFERENCES "Client"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ClientResource" ADD CONSTRAINT "ClientResource_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES "Client"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ClientResource" ADD CONSTRAINT "ClientResource_resourceId_fkey" FOREIGN KEY ("resourceId") REFERENCES "Resource"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ClientSession" ADD CONSTRAINT "ClientSession_clientId_fkey" FOREIGN KEY ("clientId") REFERENCES "Client"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ClientSession" ADD CONSTRAINT "ClientSession_memberId_fkey" FOREIGN KEY ("memberId") REFERENCES "Member"("id") ON DELETE CASCADE ON UPDATE CASCADE;
