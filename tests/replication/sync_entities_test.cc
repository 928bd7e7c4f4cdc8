// Several entities synced as one call: what each mode does against plain maps, page by page, when
// it is cancelled, killed and gone on with, and what the tables say meanwhile (J3 to J18, J25).
#include "replication/sync_entities.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark {
namespace {

using test::StatusIs;
using ::testing::HasSubstr;
using Map = std::map<std::string, std::string>;
using Row = std::pair<std::string, std::string>;

constexpr char kEntity[] = "customer";

/// A REST service with pages of a set size.
class Service {
 public:
  explicit Service(std::vector<Row> rows, size_t page_rows = 2)
      : rows_(std::move(rows)), page_rows_(page_rows) {}

  Result<ProviderPage> List(const std::string& from) {
    ++calls;
    if (calls == fail_at) return {ErrorCode::kUnavailable, "503"};
    if (!from.empty() && from.front() != epoch) return {ErrorCode::kTrimmed, "an old cursor"};
    const size_t begin = from.empty() ? 0 : std::stoul(from.substr(1));
    before_page(begin);
    ProviderPage page;
    size_t at = begin;
    for (; at < rows_.size() && page.rows.size() < page_rows_; ++at) {
      page.rows.push_back({.id = rows_[at].first, .value = rows_[at].second});
    }
    if (at < rows_.size()) page.next = epoch + std::to_string(at);
    return page;
  }

  int calls = 0;
  int fail_at = 0;
  char epoch = 'a';
  std::function<void(size_t begin)> before_page = [](size_t) {
  };

 private:
  std::vector<Row> rows_;
  size_t page_rows_;
};

class SyncEntitiesTest : public ::testing::Test {
 protected:
  SyncEntitiesTest() { Open(); }

  void Open() {
    tracker_.reset();
    store_.reset();
    auto store = Store::Open(path_);
    ASSERT_OK(store);
    store_ = std::move(*store);
    tracker_ = *SyncTracker::Open(*store_);
  }
  void Fill(const Map& records) {
    WriteBatch batch;
    for (const auto& [id, value] : records) batch.Put(kEntity, id, value, ValueKind::kJson);
    ASSERT_OK(store_->Commit(batch));
  }
  void Wipe() {
    if (!store_->FindEntity(kEntity)) return;
    ASSERT_OK(store_->Empty(kEntity));
  }
  Map Content(const std::string& entity = kEntity) const {
    Map content;
    RecordIterator records = store_->GetView().Scan(entity, ScanOptions{});
    while (records.Next()) content[records.id()] = records.value();
    EXPECT_OK(records.status());
    return content;
  }
  static EntityPull PullOf(Service& service, PullMode mode, const std::string& entity = kEntity) {
    EntityPull pull;
    pull.entity = entity;
    pull.member = "crm";
    pull.provider = "rest";
    pull.mode = mode;
    pull.pull = [&service](const std::string& from) {
      return service.List(from);
    };
    if (mode == PullMode::kRange) {
      pull.in_range = [](const Record& record) {
        return record.value.find(R"("area":"north")") != std::string::npos;
      };
      pull.range = "north";
    }
    return pull;
  }
  /// The outcome of the one step.
  Status Sync(const EntityPull& pull, std::stop_token cancelled = {}) {
    auto outcomes =
        SyncEntities(*store_,
                     *tracker_,
                     {.scope = "nightly", .pulls = {pull}, .cancelled = std::move(cancelled)});
    return outcomes.ok() ? outcomes->front().status : outcomes.status();
  }
  std::string StateOf(const std::string& entity = kEntity) const {
    const auto status = tracker_->FindStatus("crm:" + entity);
    return status ? std::string(SyncStateName(status->state)) : "none";
  }

  const test::TempDirectory directory_;
  const std::filesystem::path path_ = directory_.path() / "store";
  std::unique_ptr<Store> store_;
  std::unique_ptr<SyncTracker> tracker_;
};

const Map kBefore = {{"1", R"({"name":"Ada","area":"north","note":"x"})"},
                     {"2", R"({"name":"Bob","area":"north"})"},
                     {"3", R"({"name":"Cid","area":"south"})"},
                     {"4", R"(["no object"])"}};

const std::vector<std::vector<Row>> kPayloads = {
    {},
    {{"1", R"({"name":"Ada","area":"north","note":"x"})"}},
    {{"1", R"({"name":"Eve"})"}, {"9", R"({"name":"New","area":"north"})"}},
    {{"2", R"({"area":"south"})"},
     {"3", R"({"area":"north"})"},
     {"4", R"({"a":1})"},
     {"5", R"([1])"},
     {"6", R"({"b":null})"}},
    {{"1", R"({"name":"first"})"}, {"7", "1"}, {"1", R"({"extra":true})"}, {"8", "2"}, {"7", "3"}}};

/// What each mode makes of it, with the records as plain maps.
Map Expected(PullMode mode, const std::vector<Row>& payload) {
  Map after;
  for (const auto& [id, value] : kBefore) {
    const bool north = value.find("north") != std::string::npos;
    if (mode == PullMode::kWipe || (mode == PullMode::kRange && north)) continue;
    after[id] = value;
  }
  for (const auto& [id, value] : payload) {
    if (mode != PullMode::kMerge) after[id] = value;
  }
  return after;
}

TEST_F(SyncEntitiesTest, FourModesFivePayloads) {
  const std::map<size_t, Map> merged = {
      {0, kBefore},
      {1, kBefore},
      {2,
       {{"1", R"({"name":"Eve","area":"north","note":"x"})"},
        {"2", kBefore.at("2")},
        {"3", kBefore.at("3")},
        {"4", kBefore.at("4")},
        {"9", R"({"name":"New","area":"north"})"}}},
      {3,
       {{"1", kBefore.at("1")},
        {"2", R"({"name":"Bob","area":"south"})"},
        {"3", R"({"name":"Cid","area":"north"})"},
        {"4", R"({"a":1})"},
        {"5", "[1]"},
        {"6", R"({"b":null})"}}},
      {4,
       {{"1", R"({"name":"first","area":"north","note":"x","extra":true})"},
        {"2", kBefore.at("2")},
        {"3", kBefore.at("3")},
        {"4", kBefore.at("4")},
        {"7", "3"},
        {"8", "2"}}}};
  for (const PullMode mode :
       {PullMode::kWipe, PullMode::kRange, PullMode::kMerge, PullMode::kUpsert}) {
    for (size_t i = 0; i < kPayloads.size(); ++i) {
      SCOPED_TRACE("mode " + std::to_string(static_cast<int>(mode)) + " payload " +
                   std::to_string(i));
      Wipe();
      Fill(kBefore);
      Service service(kPayloads[i]);
      ASSERT_OK(Sync(PullOf(service, mode)));
      EXPECT_EQ(Content(), mode == PullMode::kMerge ? merged.at(i) : Expected(mode, kPayloads[i]));
      EXPECT_EQ(StateOf(), "synced");
      EXPECT_EQ(tracker_->FindStatus("crm:customer")->records, kPayloads[i].size());
      EXPECT_EQ(tracker_->FindScope("nightly")->state, SyncState::kSynced);
    }
  }
}

TEST_F(SyncEntitiesTest, NothingIsEmptyOrHalfMeanwhile) {
  for (const PullMode mode : {PullMode::kWipe, PullMode::kRange}) {
    Fill(kBefore);
    const Map before = Content();
    Service service(kPayloads[3]);
    service.before_page = [&](size_t) {
      EXPECT_EQ(Content(), before);
    };
    ASSERT_OK(Sync(PullOf(service, mode)));
    EXPECT_EQ(service.calls, 3);
    EXPECT_NE(Content(), before);
  }
}

TEST_F(SyncEntitiesTest, ARecordThatDidNotChangeKeepsItsVersion) {
  Fill(kBefore);
  const auto version = (*store_->Get(kEntity, "1"))->version;
  Service service(kPayloads[1]);
  ASSERT_OK(Sync(PullOf(service, PullMode::kWipe)));
  EXPECT_EQ((*store_->Get(kEntity, "1"))->version, version);
}

TEST_F(SyncEntitiesTest, TemporaryIdsStay) {
  for (const bool keep : {true, false}) {
    Fill({{"temp-1", "1"}, {"2", "1"}});
    Service service({{"3", "1"}, {"4", "1"}, {"5", "1"}});
    EntityPull pull = PullOf(service, PullMode::kWipe);
    if (keep) {
      pull.is_temporary = [](std::string_view id) {
        return id.starts_with("temp-");
      };
    }
    // One that is made while the sync runs.
    service.before_page = [&](size_t begin) {
      if (begin == 2) {
        Fill({{"temp-2", "1"}});
      }
    };
    ASSERT_OK(Sync(pull));
    const Map content = Content();
    EXPECT_EQ(content.contains("temp-1"), keep);
    EXPECT_EQ(content.contains("temp-2"), keep);
    EXPECT_FALSE(content.contains("2"));
    EXPECT_TRUE(content.contains("5"));
  }
}

TEST_F(SyncEntitiesTest, CancelledInTheMiddleAndGoneOnWith) {
  for (const PullMode mode :
       {PullMode::kWipe, PullMode::kRange, PullMode::kMerge, PullMode::kUpsert}) {
    SCOPED_TRACE(static_cast<int>(mode));
    Wipe();
    Fill(kBefore);
    const Map before = Content();
    Service service(kPayloads[3]);
    std::stop_source stop;
    service.before_page = [&](size_t begin) {
      if (begin == 2) stop.request_stop();
    };
    EXPECT_THAT(Sync(PullOf(service, mode), stop.get_token()), StatusIs(ErrorCode::kClosed));
    EXPECT_EQ(StateOf(), "interrupted");
    EXPECT_EQ(tracker_->FindScope("nightly")->state, SyncState::kInterrupted);
    EXPECT_EQ(service.calls, 2);
    const bool replaces = mode == PullMode::kWipe || mode == PullMode::kRange;
    EXPECT_EQ(Content() == before, replaces);
    service.before_page = [](size_t begin) {
      EXPECT_EQ(begin, 4U);
    };
    ASSERT_OK(Sync(PullOf(service, mode)));
    EXPECT_EQ(service.calls, 3) << "only the page that was missing";
    EXPECT_EQ(tracker_->FindStatus("crm:customer")->records, 5U);
    if (mode != PullMode::kMerge) {
      EXPECT_EQ(Content(), Expected(mode, kPayloads[3]));
    }
    // And once it is over, the next one begins at the first page.
    service.before_page = [](size_t) {
    };
    ASSERT_OK(Sync(PullOf(service, mode)));
    EXPECT_EQ(service.calls, 6);
  }
}

TEST_F(SyncEntitiesTest, OnlyThePullOfTheSameGoesOn) {
  const Map before = {{"a1", "1"}, {"a2", "1"}, {"a3", "1"}, {"b1", "1"}, {"b2", "1"}, {"b3", "1"}};
  const Map after = {{"a1", "1"}, {"a2", "1"}, {"a3", "1"}, {"b1", "2"}, {"b2", "2"}, {"b3", "2"}};
  const auto pull_of = [](Service& service, char range) {
    EntityPull pull = PullOf(service, PullMode::kRange);
    pull.range = range;
    pull.in_range = [range](const Record& record) {
      return record.id.front() == range;
    };
    return pull;
  };
  using Change = std::function<void(EntityPull*)>;
  const std::vector<std::pair<const char*, Change>> others = {
      {"another range",
       [](EntityPull*) {
       }},
      {"a range without a name",
       [](EntityPull* pull) {
         pull->range.clear();
       }},
      {"another provider",
       [](EntityPull* pull) {
         pull->range = "a";
         pull->provider = "soap";
       }},
      {"another function",
       [](EntityPull* pull) {
         pull->range = "a";
         pull->function_id = "list";
       }},
  };
  for (const auto& [what, change] : others) {
    SCOPED_TRACE(what);
    Wipe();
    Fill(before);
    Service a({{"a1", "2"}, {"a2", "2"}, {"a3", "2"}}, 1);
    Service b({{"b1", "2"}, {"b2", "2"}, {"b3", "2"}}, 1);
    std::stop_source stop;
    a.before_page = [&](size_t) {
      stop.request_stop();
    };
    EntityPull pull = pull_of(b, 'b');
    change(&pull);
    EntityPull earlier = pull_of(a, 'a');
    if (pull.range.empty()) earlier.range.clear();
    EXPECT_THAT(Sync(earlier, stop.get_token()), StatusIs(ErrorCode::kClosed));
    ASSERT_OK(Sync(pull));
    EXPECT_EQ(b.calls, 3) << "from its first page";
    EXPECT_EQ(Content(), after);
  }
}

TEST_F(SyncEntitiesTest, WhatCannotBeReadIsNotMerged) {
  const std::vector<std::string> unreadable = {
      R"({"ext":18446744073709551615})", R"({"ext":1e400})", R"({"ext":1,"ext":2})", R"({"ext":)"};
  for (const std::string& bad : unreadable) {
    SCOPED_TRACE(bad);
    for (const bool held : {false, true}) {
      Fill({{"1", held ? bad : R"({"name":"Ada","phone":"1"})"}});
      const Map before = Content();
      Service service({{"1", held ? R"({"name":"Eve"})" : bad}});
      EXPECT_THAT(Sync(PullOf(service, PullMode::kMerge)),
                  StatusIs(ErrorCode::kMalformedJson, HasSubstr("customer/1")));
      EXPECT_EQ(Content(), before) << "nothing is dropped";
      EXPECT_EQ(StateOf(), "failed");
    }
  }
  Wipe();
  Service service({{"1", unreadable[0]}});
  EXPECT_THAT(Sync(PullOf(service, PullMode::kMerge)),
              StatusIs(ErrorCode::kMalformedJson, HasSubstr("the provider's row")));
}

TEST_F(SyncEntitiesTest, TheLastRowOfAnIdSaysWhichKindItIs) {
  const ProviderRow json{.id = "1", .value = R"({"a":1})"};
  const ProviderRow more{.id = "1", .value = R"({"b":2})"};
  const ProviderRow bytes{.id = "1", .value = "\x01\x02", .kind = ValueKind::kBytes};
  const std::vector<std::pair<std::vector<ProviderRow>, ProviderRow>> cases = {
      {{json, bytes}, bytes},
      {{bytes, json}, json},
      {{json, bytes, more}, more},
      {{json, more}, {.id = "1", .value = R"({"a":1,"b":2})"}},
  };
  Service service({});
  EntityPull pull = PullOf(service, PullMode::kMerge);
  for (const auto& [rows, expected] : cases) {
    Wipe();
    pull.pull = [&rows = rows](const std::string&) {
      return ProviderPage{.rows = rows, .next = ""};
    };
    ASSERT_OK(Sync(pull));
    const auto record = store_->Get(kEntity, "1");
    ASSERT_OK(record);
    EXPECT_EQ((*record)->value, expected.value);
    EXPECT_EQ((*record)->value_kind, expected.kind);
  }
}

TEST_F(SyncEntitiesTest, AProviderWithoutAnEndIsAskedNoMore) {
  Fill(kBefore);
  Service service({});
  EntityPull pull = PullOf(service, PullMode::kWipe);
  int calls = 0;
  pull.pull = [&calls](const std::string& from) -> Result<ProviderPage> {
    ++calls;
    return ProviderPage{.rows = {}, .next = from == "A" ? "B" : "A"};
  };
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kInvalidArgument, HasSubstr("again and again")));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(Content(), kBefore);

  constexpr int kPages = 4;
  const auto pages = [&calls](int count) {
    calls = 0;
    return [&calls, count](const std::string& from) -> Result<ProviderPage> {
      ++calls;
      const int page = from.empty() ? 1 : std::stoi(from);
      return ProviderPage{.rows = {{.id = std::to_string(page), .value = "1"}},
                          .next = page < count ? std::to_string(page + 1) : ""};
    };
  };
  pull.pages_max = kPages;
  pull.pull = pages(kPages + 1);
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kTooLarge, HasSubstr("more than 4 pages")));
  EXPECT_EQ(calls, kPages);
  EXPECT_EQ(Content(), kBefore);
  pull.pull = pages(kPages);
  ASSERT_OK(Sync(pull));
  EXPECT_EQ(calls, kPages) << "nothing of what was given up is gone on with";
  EXPECT_EQ(Content().size(), static_cast<size_t>(kPages));

  pull.pages_max = kProviderPagesMax;
  EXPECT_OK(Sync(pull));
  for (const size_t bad : {size_t{0}, kProviderPagesMax + 1}) {
    pull.pages_max = bad;
    EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kInvalidArgument, HasSubstr("pages_max")));
  }
}

TEST_F(SyncEntitiesTest, ACursorThatMeansNothingAnyMoreBeginsAnew) {
  Fill(kBefore);
  Service service(kPayloads[3]);
  service.fail_at = 3;
  EXPECT_THAT(Sync(PullOf(service, PullMode::kWipe)), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(StateOf(), "failed");
  EXPECT_EQ(Content(), kBefore);
  service.epoch = 'b';
  ASSERT_OK(Sync(PullOf(service, PullMode::kWipe)));
  EXPECT_EQ(Content(), Expected(PullMode::kWipe, kPayloads[3]));
  EXPECT_EQ(tracker_->FindStatus("crm:customer")->records, 5U);
}

TEST_F(SyncEntitiesTest, KilledInTheMiddle) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "SKIPPED: the thread sanitizer does not follow a fork of a program with threads";
#endif
#endif
  Fill(kBefore);
  tracker_.reset();
  store_.reset();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = Store::Open(path_);
    if (!store.ok()) _exit(1);
    auto tracker = SyncTracker::Open(**store);
    Service service(kPayloads[3]);
    service.before_page = [](size_t begin) {
      if (begin == 4) raise(SIGKILL);
    };
    (void)SyncEntities(
        **store, **tracker, {.scope = "nightly", .pulls = {PullOf(service, PullMode::kWipe)}});
    _exit(2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  Open();
  EXPECT_EQ(StateOf(), "interrupted");
  EXPECT_EQ(tracker_->FindScope("nightly")->state, SyncState::kInterrupted);
  EXPECT_EQ(Content(), kBefore);
  Service service(kPayloads[3]);
  ASSERT_OK(Sync(PullOf(service, PullMode::kWipe)));
  EXPECT_EQ(service.calls, 1) << "two pages were staged before";
  EXPECT_EQ(Content(), Expected(PullMode::kWipe, kPayloads[3]));
}

TEST_F(SyncEntitiesTest, MergesAgainWhenOthersWriteMeanwhile) {
  Fill(kBefore);
  Service service(kPayloads[2]);
  EntityPull pull = PullOf(service, PullMode::kMerge);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      ASSERT_OK(store_->Commit(
          WriteBatch().Put(
              kEntity, "1", R"({"count":)" + std::to_string(i) + "}", ValueKind::kJson),
          {.sync = false}));
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 10; ++i) {
    const Status synced = Sync(pull);
    EXPECT_TRUE(synced.ok() || synced.code() == ErrorCode::kConditionFailed);
  }
  stop = true;
  writer.join();
  ASSERT_OK(Sync(pull));
  EXPECT_THAT(Content().at("1"), HasSubstr("Eve"));
  EXPECT_THAT(Content().at("1"), HasSubstr("count"));
}

TEST_F(SyncEntitiesTest, ManyEntitiesInBothDirectionsSideBySide) {
  std::vector<std::unique_ptr<Service>> services;
  SyncEntitiesOptions options{.scope = "nightly", .threads = 3};
  std::atomic<int> at_work = 0;
  std::atomic<int> most = 0;
  for (int i = 0; i < 8; ++i) {
    const std::string entity = "e" + std::to_string(i);
    services.push_back(std::make_unique<Service>(kPayloads[4]));
    services.back()->before_page = [&](size_t) {
      const int now = ++at_work;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      --at_work;
    };
    options.pulls.push_back(PullOf(*services.back(), PullMode::kUpsert, entity));
    options.pulls.back().member = i < 4 ? "crm" : "erp";
  }
  services[6]->fail_at = 2;
  const auto push = [](Status outcome) {
    return [outcome](const std::function<void(uint64_t, uint64_t)>& progress) {
      progress(3, 30);
      return outcome;
    };
  };
  options.pushes.push_back({.entity = "e0", .member = "crm", .push = push({})});
  options.pushes.push_back(
      {.entity = "e1", .member = "crm", .push = push({ErrorCode::kUnavailable, "503"})});
  options.pushes.push_back({.entity = "own", .member = "erp", .push = push({})});
  const auto outcomes = SyncEntities(*store_, *tracker_, options);
  ASSERT_OK(outcomes);
  ASSERT_EQ(outcomes->size(), 11U);
  std::set<std::string> failed;
  for (const EntitySyncOutcome& outcome : *outcomes) {
    if (!outcome.status.ok()) failed.insert(outcome.entity);
  }
  EXPECT_EQ(failed, (std::set<std::string>{"e1", "e6"}));
  EXPECT_EQ(services[1]->calls, 0) << "what was not sent is not overwritten";
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
  EXPECT_EQ(StateOf("e0"), "synced");
  EXPECT_EQ(StateOf("e1"), "failed");
  const auto scope = tracker_->FindScope("nightly");
  EXPECT_EQ(scope->state, SyncState::kFailed);
  EXPECT_EQ(scope->failed, 2U);
  EXPECT_EQ(Content("e7").size(), 3U);
}

TEST_F(SyncEntitiesTest, OneScopeAtATime) {
  ASSERT_OK(tracker_->StartScope("nightly", {"crm"}));
  Service service(kPayloads[1]);
  EXPECT_THAT(Sync(PullOf(service, PullMode::kWipe)), StatusIs(ErrorCode::kConflict));
  EXPECT_EQ(service.calls, 0);
}

TEST_F(SyncEntitiesTest, ACallThatCannotBeginLeavesNoScopeSyncing) {
  Service service(kPayloads[1]);
  EntityPull pull = PullOf(service, PullMode::kWipe);
  pull.provider = std::string(kSyncNameBytesMax + 1, 'x');
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kTooLarge));
  EXPECT_FALSE(tracker_->FindScope("nightly").has_value()) << "nothing was begun";

  SyncEntitiesOptions options{.scope = "nightly", .pulls = {PullOf(service, PullMode::kWipe)}};
  for (size_t i = 0; i <= kMemberTargetsMax; ++i) {
    options.pulls.push_back(PullOf(service, PullMode::kUpsert, "e" + std::to_string(i)));
    options.pulls.back().member = "erp";
  }
  EXPECT_THAT(SyncEntities(*store_, *tracker_, options), StatusIs(ErrorCode::kTooLarge));
  EXPECT_EQ(tracker_->FindScope("nightly")->state, SyncState::kInterrupted);
  EXPECT_EQ(StateOf(), "interrupted");
  EXPECT_EQ(service.calls, 0);
  EXPECT_OK(Sync(PullOf(service, PullMode::kWipe))) << "a call that is mended runs";
}

TEST_F(SyncEntitiesTest, BadStepsAndBadPagesAreRefused) {
  Service service(kPayloads[1]);
  EntityPull pull = PullOf(service, PullMode::kRange);
  pull.in_range = {};
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kInvalidArgument, HasSubstr("range")));
  pull = PullOf(service, PullMode::kWipe);
  pull.pull = {};
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kInvalidArgument));
  pull = PullOf(service, PullMode::kWipe, "_own");
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kReserved));
  pull = PullOf(service, PullMode::kWipe);
  for (const size_t threads : {size_t{0}, kSyncEntitiesThreadsMax + 1}) {
    EXPECT_THAT(SyncEntities(*store_, *tracker_, {.pulls = {pull}, .threads = threads}),
                StatusIs(ErrorCode::kInvalidArgument));
  }
  EXPECT_OK(
      SyncEntities(*store_, *tracker_, {.pulls = {pull}, .threads = kSyncEntitiesThreadsMax}));
  EXPECT_THAT(SyncEntities(*store_, *tracker_, {.pulls = {pull, pull}}),
              StatusIs(ErrorCode::kInvalidArgument));
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", "1")));
  EXPECT_THAT(Sync(PullOf(service, PullMode::kWipe, "events")), StatusIs(ErrorCode::kWrongKind));

  const auto page_of = [](size_t rows, std::string next) {
    return [rows, next](const std::string&) -> Result<ProviderPage> {
      ProviderPage page;
      for (size_t i = 0; i < rows; ++i) {
        page.rows.push_back({.id = std::to_string(i), .value = "1"});
      }
      page.next = next;
      return page;
    };
  };
  pull.pull = page_of(kProviderPageRowsMax, "");
  EXPECT_OK(Sync(pull));
  pull.pull = page_of(kProviderPageRowsMax + 1, "");
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kTooManyRecords));
  pull.pull = page_of(1, "again");
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kInvalidArgument, HasSubstr("again and again")));
  pull.pull = page_of(1, std::string(kProviderCursorBytesMax + 1, 'x'));
  pull.member = "another";
  EXPECT_THAT(Sync(pull), StatusIs(ErrorCode::kTooLarge));
}

}  // namespace
}  // namespace tidemark
