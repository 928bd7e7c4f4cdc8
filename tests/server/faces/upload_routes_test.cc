// Upload syncs over their calls.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

constexpr std::string_view kSyncs = "/v2/integrations-sync/instances/default/syncs";

std::string Page(const std::string& entity, const std::string& number, const std::string& records) {
  return R"({"entity_name":")" + entity + R"(","page_number":)" + number + R"(,"records":[)" +
         records + "]}";
}

std::string User(const std::string& id, const std::string& more = {}) {
  return R"({"id":")" + id + R"(","email":")" + id + R"(@x.org")" + more + "}";
}

std::string Users(int count) {
  std::string users;
  for (int i = 0; i < count; ++i) {
    users += (i == 0 ? "" : ",") + User("u" + std::to_string(i));
  }
  return users;
}

std::string Counts(
    int created, int updated, int deleted, int unchanged, int appended, int rejected) {
  return R"({"created":)" + std::to_string(created) + R"(,"updated":)" + std::to_string(updated) +
         R"(,"deleted":)" + std::to_string(deleted) + R"(,"unchanged":)" +
         std::to_string(unchanged) + R"(,"appended":)" + std::to_string(appended) +
         R"(,"rejected":)" + std::to_string(rejected) + R"(,"pages":1})";
}

class UploadRoutesTest : public FacesTest {
 protected:
  using FacesTest::FacesTest;

  std::string Start(std::string body = {}) {
    const auto response = Post(kSyncs, std::move(body));
    EXPECT_THAT(response, HasStatus(201));
    return At(response.body, {"data", "sync_id"});
  }
  static std::string Path(const std::string& sync, const std::string& rest = {}) {
    return "/v2/integrations-sync/syncs/" + sync + rest;
  }
  http::Response Snapshot(const std::string& sync, std::string page) {
    return Post(Path(sync, "/snapshot-data"), std::move(page));
  }
  http::Response Incremental(const std::string& sync, std::string page) {
    return Post(Path(sync, "/incremental-data"), std::move(page));
  }
  http::Response Finish(const std::string& sync, std::string body = {}) {
    return Put(Path(sync, "/finish"), std::move(body));
  }
  std::string Upload(const std::string& records, std::string finish = {}) {
    const std::string sync = Start();
    EXPECT_THAT(Snapshot(sync, Page("users", "1", records)), HasStatus(200));
    const auto response = Finish(sync, std::move(finish));
    EXPECT_THAT(response, HasStatus(200));
    return At(response.body, {"data", "entities", "users"});
  }
};

TEST_F(UploadRoutesTest, StartAnswersAnId) {
  const auto response = Post(kSyncs);
  ASSERT_THAT(response, HasStatus(201));
  const std::string sync = At(response.body, {"data", "sync_id"});
  EXPECT_EQ(sync.size(), 32U);
  EXPECT_EQ(
      response.body,
      R"({"data":{"sync_id":")" + sync + R"(","state":"started"},"meta":{"type":"upload_sync"}})");
}

TEST_F(UploadRoutesTest, ASecondStartIs409AndNamesTheActiveSync) {
  const std::string sync = Start();
  const auto response = Post(kSyncs, "{}");
  EXPECT_THAT(response, IsError(409, "sync_active"));
  EXPECT_EQ(ErrorMember(response, "details"), sync);
  const std::string forced = Start(R"({"force":true})");
  EXPECT_NE(forced, sync);
  const auto late = Snapshot(sync, Page("users", "1", ""));
  EXPECT_THAT(late, IsError(409, "sync_closed"));
  EXPECT_EQ(ErrorMember(late, "details"), "superseded");
}

TEST_F(UploadRoutesTest, OfManyStartsOneWins) {
  std::vector<Mailbox> boxes(8);
  std::vector<std::thread> threads;
  for (Mailbox& box : boxes) {
    threads.emplace_back([&] { box = Send(http::Method::kPost, kSyncs); });
  }
  for (std::thread& thread : threads) thread.join();
  int won = 0;
  for (Mailbox& box : boxes) won += box.Wait()->status == 201 ? 1 : 0;
  EXPECT_EQ(won, 1);
}

TEST_F(UploadRoutesTest, AnInstanceThatIsNotTheTokensIs404) {
  EXPECT_THAT(Post("/v2/integrations-sync/instances/other/syncs"), IsError(404, "not_found"));
  EXPECT_THAT(Get("/v2/integrations-sync/instances/other/syncs"), IsError(404, "not_found"));
  const std::string sync = Start();
  caller_.instance = "mine";
  EXPECT_THAT(Post(kSyncs), IsError(404, "not_found"));
}

TEST_F(UploadRoutesTest, AnUnknownSyncIs404) {
  const std::string sync(32, '0');
  EXPECT_THAT(Get(Path(sync)), IsError(404, "not_found"));
  EXPECT_THAT(Snapshot(sync, Page("users", "1", "")), IsError(404, "not_found"));
  EXPECT_THAT(Finish(sync), IsError(404, "not_found"));
  EXPECT_THAT(Put(Path(sync, "/abort")), IsError(404, "not_found"));
  EXPECT_THAT(Get(Path(sync, "/errors.csv")), IsError(404, "not_found"));
}

TEST_F(UploadRoutesTest, APageAnswersWhatItTookAndWhy) {
  const std::string sync = Start();
  const auto response = Snapshot(sync, Page("users", "0", User("a") + R"(,{"id":"b"},7)"));
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(At(response.body, {"data", "accepted"}), "1");
  EXPECT_EQ(At(response.body, {"data", "rejected", "0", "row"}), "1");
  EXPECT_EQ(At(response.body, {"data", "rejected", "0", "field"}), "email");
  EXPECT_EQ(At(response.body, {"data", "rejected", "0", "code"}), "required");
  EXPECT_EQ(At(response.body, {"data", "rejected", "1", "row"}), "2");
  EXPECT_EQ(At(response.body, {"data", "hash"}).size(), 32U);
}

TEST_F(UploadRoutesTest, FinishAnswersAllSixCounts) {
  EXPECT_EQ(Upload(User("a") + "," + User("b") + "," + User("c")), Counts(3, 0, 0, 0, 0, 0));
  EXPECT_EQ(Upload(User("a", R"(,"x":1)") + "," + User("b") + "," + User("d")),
            Counts(1, 1, 1, 1, 0, 0));
  EXPECT_EQ(Upload(User("a") + R"(,{"id":"b"})"), Counts(0, 1, 1, 1, 0, 1));
  const std::string sync = Start();
  EXPECT_THAT(
      Incremental(sync, Page("transactions", "1", R"({"id":"t","transaction_date":"2031-01-01"})")),
      HasStatus(200));
  const auto response = Post(Path(sync, "/finish"), "{}");
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(At(response.body, {"data", "state"}), "finished");
  EXPECT_EQ(At(response.body, {"data", "sync_id"}), sync);
  EXPECT_EQ(At(response.body, {"data", "entities", "transactions"}), Counts(0, 0, 0, 0, 1, 0));
}

TEST_F(UploadRoutesTest, NothingIsVisibleBeforeFinish) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", User("a")));
  EXPECT_EQ(At(Get("/v1/entities/users/records").body, {"meta", "count"}), "0");
  Finish(sync);
  EXPECT_EQ(At(Get("/v1/entities/users/records").body, {"meta", "count"}), "1");
}

TEST_F(UploadRoutesTest, AThousandRecordsAPageAndNotOneMore) {
  const std::string sync = Start();
  EXPECT_THAT(Snapshot(sync, Page("users", "1", Users(1000))), HasStatus(200));
  EXPECT_THAT(Snapshot(sync, Page("users", "1", Users(1001))), IsError(422, "too_many_records"));
  EXPECT_EQ(At(Finish(sync).body, {"data", "entities", "users", "created"}), "1000");
}

TEST_F(UploadRoutesTest, APageNumberIsAnUnsigned32BitInteger) {
  const std::string sync = Start();
  for (const char* good : {"0", "1", "4294967295"}) {
    EXPECT_THAT(Snapshot(sync, Page("users", good, "")), HasStatus(200)) << good;
  }
  for (const char* bad : {"-1", "4294967296", "1.0", "\"1\"", "null", "true"}) {
    const auto response = Snapshot(sync, Page("users", bad, ""));
    EXPECT_THAT(response, IsError(422, "invalid_argument")) << bad;
    EXPECT_EQ(ErrorMember(response, "field"), "page_number");
  }
  EXPECT_EQ(At(Get(Path(sync)).body, {"meta", "count"}), "3");
}

TEST_F(UploadRoutesTest, MembersAreRequiredAndKnown) {
  const std::string sync = Start();
  for (const auto& [body, field] : std::vector<std::pair<std::string, std::string>>{
           {R"({"page_number":1,"records":[]})", "entity_name"},
           {R"({"entity_name":"users","records":[]})", "page_number"},
           {R"({"entity_name":"users","page_number":1})", "records"},
           {R"({"entity_name":"users","page_number":1,"records":{}})", "records"},
           {R"({"entity_name":1,"page_number":1,"records":[]})", "entity_name"},
           {R"({"entity_name":"a b","page_number":1,"records":[]})", "entity_name"},
           {R"({"entity_name":"users","page_number":1,"records":[],"more":1})", "more"}}) {
    const auto response = Snapshot(sync, body);
    EXPECT_THAT(response, IsError(422, "invalid_argument")) << body;
    EXPECT_EQ(ErrorMember(response, "field"), field);
  }
  EXPECT_THAT(Snapshot(sync, "[]"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Snapshot(sync, Page("_users", "1", "")), IsError(403, "reserved"));
}

TEST_F(UploadRoutesTest, PagesAreStrictJson) {
  const std::string sync = Start();
  for (const char* body : {"", "{", "{}}", "\xff"}) {
    EXPECT_THAT(Snapshot(sync, body), IsError(400, "malformed_json")) << body;
  }
  for (const char* row : {R"({"id":1,"id":2})",
                          R"({"id":"\ud800"})",
                          R"({"id":"\udc00"})",
                          "{\"id\":\"\xc0\x80\"}",
                          R"({"id":1e999})",
                          R"({"id":18446744073709551616})"}) {
    EXPECT_THAT(Snapshot(sync, Page("users", "1", row)), IsError(400, "malformed_json")) << row;
  }
  // The record is one: what it stands in does not count.
  const auto nested = [](size_t depth) {
    return User("a", R"(,"x":)" + std::string(depth, '[') + std::string(depth, ']'));
  };
  EXPECT_THAT(Snapshot(sync, Page("users", "1", nested(31))), HasStatus(200));
  EXPECT_THAT(Snapshot(sync, Page("users", "1", nested(32))), IsError(400, "malformed_json"));
}

TEST_F(UploadRoutesTest, TheOtherKindIs409) {
  const std::string sync = Start();
  EXPECT_THAT(Incremental(sync, Page("users", "1", "")), IsError(409, "wrong_kind"));
  EXPECT_THAT(Snapshot(sync, Page("contracts", "1", "")), IsError(409, "wrong_kind"));
  EXPECT_THAT(Incremental(sync, Page("anything", "1", "")), HasStatus(200));
  EXPECT_THAT(Snapshot(sync, Page("anything", "2", "")), IsError(409, "wrong_kind"));
}

TEST_F(UploadRoutesTest, ASchemaDoesNotChangeUnderPagesThatItChecked) {
  const std::string schema = "/v2/integrations-sync/entities/schemas/things";
  ASSERT_THAT(Put(schema, R"({"id":["id"]})"), HasStatus(201));
  const std::string sync = Start();
  EXPECT_THAT(Put(schema, R"({"id":["k"]})"), HasStatus(200)) << "no pages yet";
  Snapshot(sync, Page("things", "1", R"({"k":1},{"k":2,"n":"x"})"));
  const std::string with_n = R"({"id":["k"],"fields":[{"name":"n","required":true}]})";
  EXPECT_THAT(Put(schema, with_n), IsError(409, "conflict"));
  EXPECT_THAT(Put(schema, R"({"id":["id"]})"), IsError(409, "conflict"));
  EXPECT_THAT(Put(schema, R"({"id":["k"]})"), HasStatus(200)) << "no change";
  EXPECT_THAT(Finish(sync), HasStatus(200));
  EXPECT_THAT(Put(schema, with_n), HasStatus(200));
}

TEST_F(UploadRoutesTest, AFinishedSyncIsClosed) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", User("a")));
  const auto first = Finish(sync, R"({"max_delete_share":0.5})");
  EXPECT_THAT(first, HasStatus(200));
  const auto again = Finish(sync, R"({"max_delete_share":0.5})");
  EXPECT_THAT(again, HasStatus(200));
  EXPECT_EQ(again.body, first.body);
  for (const auto& response : {Snapshot(sync, Page("users", "2", "")),
                               Put(Path(sync, "/abort")),
                               Finish(sync, R"({"max_delete_share":0.4})")}) {
    EXPECT_THAT(response, IsError(409, "sync_closed"));
    EXPECT_EQ(ErrorMember(response, "details"), "finished");
  }
}

TEST_F(UploadRoutesTest, AbortDiscards) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", User("a")));
  const auto response = Put(Path(sync, "/abort"));
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(At(response.body, {"data", "state"}), "aborted");
  const auto finish = Finish(sync);
  EXPECT_THAT(finish, IsError(409, "sync_closed"));
  EXPECT_EQ(ErrorMember(finish, "details"), "aborted");
  Start();
}

TEST_F(UploadRoutesTest, ARefusedFinishLeavesTheSyncStarted) {
  EXPECT_EQ(Upload(Users(500)), Counts(500, 0, 0, 0, 0, 0));
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", Users(100)));
  EXPECT_THAT(Finish(sync, R"({"expected_pages":{"users":2}})"), IsError(409, "missing_pages"));
  EXPECT_THAT(Finish(sync, R"({"max_delete_share":0.3})"), IsError(409, "delete_guard"));
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "state"}), "started");
  const auto dry = Finish(sync, R"({"dry_run":true})");
  ASSERT_THAT(dry, HasStatus(200));
  EXPECT_EQ(At(dry.body, {"data", "state"}), "started");
  EXPECT_EQ(At(dry.body, {"data", "entities", "users"}), Counts(0, 0, 400, 100, 0, 0));
  EXPECT_THAT(Finish(sync, R"({"expected_pages":{"users":1},"max_delete_share":0.8})"),
              HasStatus(200));
}

TEST_F(UploadRoutesTest, StrictRefusesThePageAndTheFinish) {
  ASSERT_THAT(
      Put("/v1/entities/strict", R"({"strict":true,"fields":[{"name":"n","required":true}]})"),
      HasStatus(201));
  const std::string sync = Start();
  EXPECT_THAT(Snapshot(sync, Page("strict", "1", R"({"id":1})")), IsError(409, "strict"));
  EXPECT_THAT(Finish(sync), IsError(409, "strict"));
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "state"}), "started");
  EXPECT_THAT(Snapshot(sync, Page("strict", "1", R"({"id":1,"n":1})")), HasStatus(200));
  EXPECT_THAT(Finish(sync), HasStatus(200));
}

TEST_F(UploadRoutesTest, TooManyDanglingReferencesAre409) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", User("a")));
  Incremental(sync, Page("user_activity", "1", R"({"user_id":"nobody","timestamp":"2031-01-01"})"));
  EXPECT_THAT(Finish(sync), IsError(409, "dangling_references"));
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "state"}), "started");
}

TEST_F(UploadRoutesTest, FinishOptionsAreChecked) {
  const std::string sync = Start();
  for (const auto& [body, field] : std::vector<std::pair<std::string, std::string>>{
           {R"({"expected_pages":[]})", "expected_pages"},
           {R"({"expected_pages":{"users":-1}})", "expected_pages"},
           {R"({"dry_run":"yes"})", "dry_run"},
           {R"({"max_delete_share":1.01})", "max_delete_share"},
           {R"({"max_delete_share":-0.1})", "max_delete_share"},
           {R"({"max_delete_shar":0.1})", "max_delete_shar"}}) {
    const auto response = Finish(sync, body);
    EXPECT_THAT(response, IsError(422, "invalid_argument")) << body;
    EXPECT_EQ(ErrorMember(response, "field"), field);
  }
  EXPECT_THAT(Finish(sync, "{"), IsError(400, "malformed_json"));
  EXPECT_THAT(Post(kSyncs, R"({"force":1})"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Post(kSyncs, R"({"forse":true})"), IsError(422, "invalid_argument"));
}

TEST_F(UploadRoutesTest, HistoryPageByPage) {
  const std::string sync = Start();
  for (const char* page : {"7", "2", "90"}) Snapshot(sync, Page("users", page, User(page)));
  const auto first = Get(Path(sync, "?limit=2"));
  ASSERT_THAT(first, HasStatus(200));
  EXPECT_EQ(At(first.body, {"data", "state"}), "started");
  EXPECT_EQ(At(first.body, {"data", "pages", "0", "page_number"}), "2");
  EXPECT_EQ(At(first.body, {"data", "pages", "1", "page_number"}), "7");
  EXPECT_EQ(At(first.body, {"meta", "more"}), "true");
  const auto rest = Get(Path(sync, "?offset=2&limit=2"));
  EXPECT_EQ(At(rest.body, {"data", "pages", "0", "page_number"}), "90");
  EXPECT_EQ(At(rest.body, {"data", "pages", "0", "accepted"}), "1");
  EXPECT_EQ(At(rest.body, {"meta", "count"}), "1");
  EXPECT_EQ(At(rest.body, {"meta", "more"}), "false");
  EXPECT_THAT(Get(Path(sync, "?limit=0")), IsError(422, "invalid_argument"));
  EXPECT_THAT(Get(Path(sync, "?limit=1001")), IsError(422, "invalid_argument"));
  EXPECT_THAT(Get(Path(sync, "?offset=-1")), IsError(422, "invalid_argument"));
}

TEST_F(UploadRoutesTest, ActiveAndPastSyncs) {
  EXPECT_EQ(At(Get(kSyncs).body, {"meta", "active"}), "null");
  const std::string past = Start();
  Put(Path(past, "/abort"));
  const std::string active = Start();
  const auto response = Get(kSyncs);
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(At(response.body, {"items", "0", "data", "sync_id"}), active);
  EXPECT_EQ(At(response.body, {"items", "1", "data", "sync_id"}), past);
  EXPECT_EQ(At(response.body, {"items", "1", "data", "state"}), "aborted");
  EXPECT_EQ(At(response.body, {"meta", "active"}), active);
  EXPECT_EQ(At(Get(std::string(kSyncs) + "?offset=1").body, {"meta", "count"}), "1");
}

TEST_F(UploadRoutesTest, AnUnfinishedSyncSurvivesARestart) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", User("a")));
  Reopen();
  EXPECT_THAT(Post(kSyncs), IsError(409, "sync_active"));
  Snapshot(sync, Page("users", "2", User("b")));
  EXPECT_EQ(At(Finish(sync).body, {"data", "entities", "users", "created"}), "2");
}

TEST_F(UploadRoutesTest, TheErrorReportIsCsv) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "4", User("a") + R"(,{"id":"b"})"));
  const auto response = Get(Path(sync, "/errors.csv"));
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(response.content_type, "text/csv; charset=utf-8");
  EXPECT_THAT(response.body,
              ::testing::StartsWith("entity,page,row,field,code,message\r\n"
                                    "users,4,1,email,required,"));
  EXPECT_EQ(std::count(response.body.begin(), response.body.end(), '\n'), 2);
}

TEST_F(UploadRoutesTest, ARefusedDryRunLeavesNoTrace) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", User("a")));
  EXPECT_THAT(Finish(sync, R"({"dry_run":true,"expected_pages":{"users":2}})"),
              IsError(409, "missing_pages"));
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "last_finish"}), "-");
}

TEST_F(UploadRoutesTest, ARefusedFinishSaysWhyUntilTheNext) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", User("a")));
  EXPECT_THAT(Finish(sync, R"({"expected_pages":{"users":2}})"), IsError(409, "missing_pages"));
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "last_finish", "code"}), "missing_pages");
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "state"}), "started");
  // A dry run is no finish: neither what it finds nor what refuses it is told later.
  EXPECT_THAT(Finish(sync, R"({"dry_run":true})"), HasStatus(200));
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "last_finish", "code"}), "missing_pages");
  EXPECT_THAT(Finish(sync), HasStatus(200));
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "last_finish"}), "-");
}

TEST_F(UploadRoutesTest, APageIsShownAsItWasSent) {
  const std::string sync = Start();
  const std::string sent = " " + Page("users", "7", User("a", R"(, "odd" : 1.0)")) + "\n";
  const std::string path = Path(sync, "/pages/users/7");
  EXPECT_THAT(Get(path), IsError(404, "not_found"));
  EXPECT_THAT(Snapshot(sync, sent), HasStatus(200));
  EXPECT_EQ(Get(path).body, sent);
  const std::string again = Page("users", "7", User("b"));
  EXPECT_THAT(Snapshot(sync, again), HasStatus(200));
  EXPECT_EQ(Get(path).body, again);
  EXPECT_THAT(Snapshot(sync, Page("users", "7", "1,")), IsError(400, "malformed_json"));
  EXPECT_EQ(Get(path).body, again) << "what was refused is no page";
  for (const char* other : {"/pages/users/8",
                            "/pages/users/07",
                            "/pages/users/x",
                            "/pages/groups/7",
                            "/pages/../7",
                            "/pages/users/4294967296"}) {
    EXPECT_THAT(Get(Path(sync, other)), IsError(404, "not_found")) << other;
  }
  EXPECT_THAT(Get(Path("..", "/pages/users/7")), IsError(404, "not_found"));
  EXPECT_THAT(Finish(sync), HasStatus(200));
  EXPECT_EQ(Get(path).body, again) << "for some days";
  Reopen();
  EXPECT_EQ(Get(path).body, again);
}

TEST_F(UploadRoutesTest, AGrantMeanwhileDoesNotAnswerAFinish) {
  std::atomic<bool> done = false;
  std::thread grants([&] {
    while (!done) Put("/v1/devices/d/selection", R"({"everything":true})");
  });
  for (int i = 0; i < 4; ++i) {
    const std::string sync = Start();
    Snapshot(sync, Page("users", "1", Users(1000)));
    EXPECT_THAT(Finish(sync), HasStatus(200));
  }
  done = true;
  grants.join();
}

// Answers before any finish can be through.
class ImpatientUploadTest : public UploadRoutesTest {
 protected:
  ImpatientUploadTest()
      : UploadRoutesTest(UploadRouteOptions{.finish_answer_time = std::chrono::milliseconds(0)}) {}
};

TEST_F(ImpatientUploadTest, ALongFinishIs202AndGoesOn) {
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", Users(1000)));
  const auto response = Finish(sync);
  // It may be through by chance.
  if (response.status != 200) {
    ASSERT_THAT(response, HasStatus(202));
    EXPECT_EQ(At(response.body, {"data", "state"}), "processing");
  }
  std::string state;
  for (int i = 0; i < 500 && state != "finished"; ++i) {
    state = At(Get(Path(sync)).body, {"data", "state"});
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(state, "finished");
}

TEST_F(ImpatientUploadTest, WhyALongFinishWasRefusedIsShown) {
  const std::string first = Start();
  Snapshot(first, Page("users", "1", Users(200)));
  Finish(first);
  for (int i = 0; i < 500 && At(Get(Path(first)).body, {"data", "state"}) != "finished"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const std::string sync = Start();
  Snapshot(sync, Page("users", "1", Users(1)));
  const auto response = Finish(sync, R"({"max_delete_share":0.1})");
  // It may be through by chance.
  if (response.status != 202) {
    EXPECT_THAT(response, IsError(409, "delete_guard"));
  }
  std::string shown = Get(Path(sync)).body;
  for (int i = 0; i < 500 && At(shown, {"data", "last_finish"}) == "-"; ++i) {
    shown = Get(Path(sync)).body;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(At(shown, {"data", "state"}), "started") << "a refused finish leaves it so";
  EXPECT_EQ(At(shown, {"data", "last_finish", "state"}), "failed");
  EXPECT_EQ(At(shown, {"data", "last_finish", "code"}), "delete_guard");
  EXPECT_NE(At(shown, {"data", "last_finish", "message"}), "");
  // Going on clears it. The finish may still be letting go.
  for (int i = 0; i < 500 && Put(Path(sync, "/abort")).status != 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "state"}), "aborted");
  EXPECT_EQ(At(Get(Path(sync)).body, {"data", "last_finish"}), "-");
}

}  // namespace
}  // namespace tidemark::server::test
