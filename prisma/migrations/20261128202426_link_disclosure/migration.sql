-- CreateTable
CREATE TABLE "PairwiseAccount" (
    "sector" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "PairwiseAccount_pkey" PRIMARY KEY ("sector","issuer","subject")
);

-- CreateIndex
CREATE UNIQUE INDEX "PairwiseAccount_name_key" ON "PairwiseAccount"("name");

-- CreateIndex
CREATE INDEX "Grant_clientId_memberId_idx" ON "Grant"("clientId", "memberId");
