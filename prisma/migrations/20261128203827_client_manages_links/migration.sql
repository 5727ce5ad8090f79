-- AlterTable
ALTER TABLE "Client" ADD COLUMN     "managesLinks" BOOLEAN NOT NULL DEFAULT false;
