// Sync scopes and statuses over HTTP (seed 001).
#include <string>

#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

using SyncRoutesTest = FacesTest;

MATCHER_P2(IsRefused, status, code, "is refused") {
  return arg.status == status &&
         arg.body.find("\"" + std::string(code) + "\"") != std::string::npos;
}

TEST_F(SyncRoutesTest, AScopeFromStartToOutcome) {
  const auto started = Post("/v1/sync-scopes/nightly/start", R"({"members":["a","b"]})");
  ASSERT_THAT(started, HasStatus(200));
  EXPECT_EQ(At(started.body, {"meta", "type"}), "sync_scope");
  EXPECT_EQ(At(started.body, {"data", "state"}), "syncing");
  EXPECT_EQ(At(started.body, {"data", "notStarted"}), "2");
  EXPECT_THAT(Post("/v1/sync-scopes/nightly/start-if-idle", R"({"members":["a"]})"),
              IsRefused(409, "conflict"));
  const auto operation = instance_->tracker().Begin("a", {{"users", "crm", "list"}});
  ASSERT_OK(operation);
  EXPECT_EQ(At(Get("/v1/sync-scopes/nightly").body, {"data", "syncing"}), "1");
  const auto status = Get("/v1/sync-status/a:users");
  ASSERT_THAT(status, HasStatus(200));
  EXPECT_EQ(At(status.body, {"data", "provider"}), "crm");
  EXPECT_EQ(At(status.body, {"data", "state"}), "syncing");
  const auto interrupted = Post("/v1/sync-scopes/nightly/interrupt", "");
  ASSERT_THAT(interrupted, HasStatus(200));
  EXPECT_EQ(At(interrupted.body, {"data", "state"}), "interrupted");
  EXPECT_THAT(Post("/v1/sync-scopes/nightly/start-if-idle", R"({"members":[]})"), HasStatus(200));
  EXPECT_EQ(At(Get("/v1/sync-scopes/nightly").body, {"data", "state"}), "synced");
}

TEST_F(SyncRoutesTest, Deletions) {
  Post("/v1/sync-scopes/s/start", R"({"members":["a"]})");
  EXPECT_THAT(Delete("/v1/sync-scopes/s"), IsRefused(409, "conflict"));
  EXPECT_THAT(Delete("/v1/sync-scopes/s?force=maybe"), HasStatus(422));
  const auto forced = Delete("/v1/sync-scopes/s?force=true");
  ASSERT_THAT(forced, HasStatus(200));
  EXPECT_EQ(At(forced.body, {"data", "deleted"}), "true");
  EXPECT_EQ(At(Delete("/v1/sync-scopes/s").body, {"data", "deleted"}), "false");
  EXPECT_EQ(At(Delete("/v1/sync-status/none").body, {"data", "deleted"}), "false");
  EXPECT_THAT(Get("/v1/sync-scopes/s"), HasStatus(404));
  EXPECT_THAT(Get("/v1/sync-status/none"), HasStatus(404));
  EXPECT_THAT(Post("/v1/sync-scopes/s/interrupt", ""), HasStatus(404));
}

TEST_F(SyncRoutesTest, ListsArePaged) {
  for (const char* id : {"c", "a", "b"}) {
    Post("/v1/sync-scopes/" + std::string(id) + "/start", R"({"members":[]})");
  }
  const auto first = Get("/v1/sync-scopes?limit=2");
  EXPECT_EQ(At(first.body, {"items", "1", "data", "id"}), "b");
  EXPECT_EQ(At(first.body, {"meta", "more"}), "true");
  const auto rest = Get("/v1/sync-scopes?limit=2&after=b");
  EXPECT_EQ(At(rest.body, {"meta", "count"}), "1");
  EXPECT_EQ(At(rest.body, {"items", "0", "data", "id"}), "c");
  EXPECT_THAT(Get("/v1/sync-status?limit=0"), HasStatus(422));
}

TEST_F(SyncRoutesTest, BadStartsChangeNothing) {
  for (const char* body : {"{}",
                           R"({"members":"a"})",
                           R"({"members":[1]})",
                           R"({"members":["a","a"]})",
                           R"({"members":[""]})",
                           R"({"members":[],"more":1})"}) {
    EXPECT_THAT(Post("/v1/sync-scopes/s/start", body), HasStatus(422)) << body;
  }
  EXPECT_THAT(Post("/v1/sync-scopes/s/start", "no json"), IsRefused(400, "malformed_json"));
  EXPECT_THAT(Get("/v1/sync-scopes/s"), HasStatus(404));
}

TEST_F(SyncRoutesTest, AnUploadSyncThatSurvivesARestartIsSyncingAgain) {
  const auto sync = instance_->uploads().Start();
  ASSERT_OK(sync);
  UploadPage page;
  page.entity = "people";
  page.records = {R"({"id":"1"})", R"({"id":"2"})"};
  ASSERT_OK(instance_->uploads().PutPage(*sync, page));
  Reopen();
  const auto again = Get("/v1/sync-status/upload:people");
  EXPECT_EQ(At(again.body, {"data", "state"}), "syncing");
  EXPECT_EQ(At(again.body, {"data", "functionId"}), *sync);
  EXPECT_EQ(At(again.body, {"data", "records"}), "2");
  ASSERT_OK(instance_->uploads().Finish(*sync));
  EXPECT_EQ(At(Get("/v1/sync-status/upload:people").body, {"data", "state"}), "synced");
}

TEST_F(SyncRoutesTest, UploadSyncsAreAMember) {
  Post("/v1/sync-scopes/import/start", R"({"members":["upload"]})");
  const auto sync = instance_->uploads().Start();
  ASSERT_OK(sync);
  UploadPage page;
  page.entity = "people";
  page.records = {R"({"id":"1"})", R"({"id":"2"})"};
  ASSERT_OK(instance_->uploads().PutPage(*sync, page));
  const auto uploading = Get("/v1/sync-status/upload:people");
  ASSERT_THAT(uploading, HasStatus(200));
  EXPECT_EQ(At(uploading.body, {"data", "state"}), "syncing");
  EXPECT_EQ(At(uploading.body, {"data", "records"}), "2");
  EXPECT_EQ(At(uploading.body, {"data", "functionId"}), *sync);
  EXPECT_EQ(At(Get("/v1/sync-scopes/import").body, {"data", "syncing"}), "1");
  ASSERT_OK(instance_->uploads().Finish(*sync));
  EXPECT_EQ(At(Get("/v1/sync-status/upload:people").body, {"data", "state"}), "synced");
  EXPECT_EQ(At(Get("/v1/sync-scopes/import").body, {"data", "state"}), "synced");

  const auto aborted = instance_->uploads().Start();
  ASSERT_OK(aborted);
  ASSERT_OK(instance_->uploads().PutPage(*aborted, page));
  ASSERT_OK(instance_->uploads().Abort(*aborted));
  const auto failed = Get("/v1/sync-status/upload:people");
  EXPECT_EQ(At(failed.body, {"data", "state"}), "failed");
  EXPECT_NE(At(failed.body, {"data", "error"}).find("aborted"), std::string::npos);
}

TEST_F(SyncRoutesTest, TheTablesAreReadLikeAnyEntity) {
  Post("/v1/sync-scopes/s/start", R"({"members":["a"]})");
  const auto record = Get("/v1/entities/_syncScope/records/s");
  ASSERT_THAT(record, HasStatus(200));
  EXPECT_EQ(At(record.body, {"data", "state"}), "syncing");
  EXPECT_EQ(At(Get("/v1/entities/_syncScope/records").body, {"items", "0", "data", "id"}), "s");
  EXPECT_THAT(Put("/v1/entities/_syncScope/records/s", "{}"), IsRefused(403, "reserved"));
  EXPECT_THAT(Delete("/v1/entities/_syncScope/records/s"), IsRefused(403, "reserved"));
  EXPECT_THAT(Delete("/v1/entities/_syncScope"), IsRefused(403, "reserved"));
  EXPECT_THAT(Post("/v1/entities/_syncScope/empty", ""), IsRefused(403, "reserved"));
  EXPECT_EQ(Get("/v1/entities").body.find("_sync"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::server::test
