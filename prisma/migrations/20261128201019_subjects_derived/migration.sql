-- DropTable
DROP TABLE "SubjectAlias";

-- Whoever has a grant has been given the member's `sub`.
INSERT INTO "KnownMember" ("clientId", "memberId", "firstAt")
SELECT "clientId", "memberId", min("createdAt") FROM "Grant" GROUP BY "clientId", "memberId"
ON CONFLICT DO NOTHING;
