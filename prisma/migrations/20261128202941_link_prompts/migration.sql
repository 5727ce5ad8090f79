-- AlterTable
ALTER TABLE "Connection" ADD COLUMN     "promptAfterSignIn" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "promptEveryDays" INTEGER NOT NULL DEFAULT 30;
