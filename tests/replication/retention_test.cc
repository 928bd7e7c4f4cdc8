// Trimmed events and the gaps that devices are told of: by hand, by declared retention, over
// restarts and crashes, and against plain maps.
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "replication/internal/timestamp.h"
#include "replication/replica.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::MapDevice;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RetentionTest : public test::SourceTest {
 protected:
  /// Appends an event and returns its sequence number.
  SequenceNumber Append(const std::string& id, std::string_view value = "x") {
    const ValueKind kind = value.front() == '{' ? ValueKind::kJson : ValueKind::kBytes;
    const auto committed = store_->Commit(WriteBatch().Append("visits", RecordId(id), value, kind));
    EXPECT_OK(committed);
    return committed->sequence;
  }
  void Declare(const Retention& retention) {
    EntityDeclaration declaration;
    declaration.kind = EntityKind::kIncremental;
    declaration.retention = retention;
    EXPECT_OK(store_->Declare("visits", declaration));
  }
  uint64_t Upkeep() {
    const auto done = source_->Upkeep();
    EXPECT_OK(done);
    return done.ok() ? done->trimmed : 0;
  }
  std::vector<std::string> Kept() const {
    std::vector<std::string> ids;
    for (const auto& [name, value] : Live()) ids.push_back(name.substr(name.find('/') + 1));
    return ids;
  }
  /// The process dies: what the operating system was given by then is what there is.
  void Kill() {
    const std::filesystem::path copy = directory_.path() / "killed";
    for (bool copied = false; !copied;) {
      try {
        CopyStore(path_, copy);
        copied = true;
      } catch (const std::filesystem::filesystem_error&) {
        // A compaction removed a file under the copy; it ends.
      }
    }
    Close();
    CopyStore(copy, path_);
    Open();
  }
};

TEST_F(RetentionTest, Case42TrimmedUnderASlowDevice) {
  MapDevice device = Device();
  Append("1");
  device.Sync();
  const SequenceNumber second = Append("2");
  Append("3");
  const SequenceNumber through = Append("4");
  Append("5");
  EXPECT_THAT(source_->Trim("visits", through), test::IsOkAndHolds(4U));

  ASSERT_TRUE(device.Start());
  ASSERT_THAT(device.session().gaps, SizeIs(1));
  const Gap& gap = device.session().gaps[0];
  EXPECT_EQ(gap.entity, "visits");
  EXPECT_EQ(gap.range, (SequenceRange{second, through.Next()}));
  EXPECT_EQ(gap.count, 3U);
  EXPECT_EQ(device.session().owed, 1U);
  EXPECT_THAT(device.Drain(), ElementsAre("created visits/5=x"));
  EXPECT_FALSE(device.Start()) << "told once";
}

TEST_F(RetentionTest, GapsAreToldUntilTheAnswerArrived) {
  MapDevice device = Device();
  Append("1");
  device.Sync();
  const SequenceNumber second = Append("2");
  ASSERT_OK(source_->Trim("visits", second));
  ASSERT_TRUE(device.Start()) << "nothing but a gap";
  EXPECT_EQ(device.session().owed, 0U);
  Kill();
  device.Move(*source_);
  ASSERT_TRUE(device.Start()) << "the answer may have been lost";
  ASSERT_THAT(device.session().gaps, SizeIs(1));
  // What is trimmed after the answer is told by the next one.
  const SequenceNumber third = Append("3");
  ASSERT_OK(source_->Trim("visits", third));
  EXPECT_THAT(device.Drain(), IsEmpty());
  Reopen();
  device.Move(*source_);
  ASSERT_TRUE(device.Start());
  ASSERT_THAT(device.session().gaps, SizeIs(1));
  EXPECT_EQ(device.session().gaps[0].range, (SequenceRange{second.Next(), third.Next()}));
  EXPECT_EQ(device.session().gaps[0].count, 1U);
  device.Drain();
  EXPECT_FALSE(device.Start());
}

TEST_F(RetentionTest, OnlyWhatWasOwedIsAGap) {
  Append("1");
  MapDevice all = Device("all");
  all.Sync();
  MapDevice blind = Device("blind");
  ASSERT_OK(source_->Select("blind", SelectionRule::Entities({"users"})));
  Put("users", "1", "a");
  blind.Sync();
  MapDevice forgotten = Device("forgotten");
  forgotten.Sync();
  ASSERT_OK(source_->Forget("forgotten"));
  ASSERT_OK(source_->Select("fresh", SelectionRule::Entities({"visits"})));
  const SequenceNumber last = Append("2");
  ASSERT_OK(source_->Trim("visits", last));
  all.Sync();
  EXPECT_THAT(all.session().gaps, SizeIs(1));
  for (const std::string id : {"blind", "forgotten", "fresh"}) {
    MapDevice device = Device(id);
    device.Sync();
    EXPECT_THAT(device.session().gaps, IsEmpty()) << id;
  }
}

TEST_F(RetentionTest, AReplicaIsToldByItsPull) {
  auto replica = Replica::Open(directory_.path() / "replica", "tablet", {}, runtime_);
  ASSERT_OK(replica);
  LocalTransport transport(*source_);
  Append("1");
  ASSERT_OK((*replica)->Pull(transport));
  ASSERT_OK(source_->Trim("visits", Append("2")));
  const auto pulled = (*replica)->Pull(transport);
  ASSERT_OK(pulled);
  ASSERT_THAT(pulled->gaps, SizeIs(1));
  EXPECT_EQ(pulled->gaps[0].count, 1U);
  EXPECT_THAT((*replica)->Pull(transport)->gaps, IsEmpty());
}

TEST_F(RetentionTest, ByCount) {
  Declare({.age_ms = {}, .count = 3, .bytes = {}});
  for (int i = 1; i <= 3; ++i) Append(std::to_string(i));
  EXPECT_EQ(Upkeep(), 0U);
  for (int i = 4; i <= 8; ++i) Append(std::to_string(i));
  EXPECT_EQ(Upkeep(), 5U);
  EXPECT_THAT(Kept(), ElementsAre("6", "7", "8"));
  EXPECT_EQ(Upkeep(), 0U);
  Declare({.age_ms = {}, .count = 0, .bytes = {}});
  EXPECT_EQ(Upkeep(), 3U);
}

TEST_F(RetentionTest, ByBytes) {
  Declare({.age_ms = {}, .count = {}, .bytes = 30});
  for (int i = 1; i <= 3; ++i) Append(std::to_string(i), "123456789");
  EXPECT_EQ(Upkeep(), 0U) << "exactly at the bound";
  Append("4", "123456789");
  EXPECT_EQ(Upkeep(), 1U);
  Append("5", std::string(28, 'v'));
  EXPECT_EQ(Upkeep(), 3U);
  EXPECT_THAT(Kept(), ElementsAre("5"));
  ASSERT_OK(store_->Empty("visits"));
  for (int i = 6; i <= 8; ++i) Append(std::to_string(i), "123456789");
  EXPECT_EQ(Upkeep(), 0U) << "what was emptied counts no more";
}

TEST_F(RetentionTest, ByAge) {
  Declare({.age_ms = 1000, .count = {}, .bytes = {}});
  const int64_t now = *internal::ReadIsoTimestamp("2031-05-01T00:00:00Z");
  clock_->SetWall(now);
  Append("1", R"({"timestamp":"2031-04-30T23:59:58Z"})");
  Append("2", R"({"note":"goes with the one before"})");
  Append("3",
         R"({"timestamp":")"
         "2031-05-01T01:59:59+02:00"
         R"("})");
  Append("4", R"({"timestamp":"2031-04-30T00:00:00Z"})");
  EXPECT_EQ(Upkeep(), 2U) << "one that is young enough keeps those behind it";
  clock_->SetWall(now + 1);
  EXPECT_EQ(Upkeep(), 2U);
  Append("5", R"({"timestamp":)" + std::to_string(now - 1000) + "}");
  EXPECT_EQ(Upkeep(), 1U) << "milliseconds";
  Append("6", R"({"note":"no time"})");
  Append("7");
  EXPECT_EQ(Upkeep(), 0U);
}

/// What a device was told and answered, as plain sets.
struct PlainDevice {
  std::set<std::string> has;  // acknowledged
  bool known = false;
  uint64_t missing = 0;  // trimmed while owed, not told yet
  bool told = false;     // by a start whose session was not called yet
  uint64_t told_count = 0;
};

class RetentionModelTest : public RetentionTest, public ::testing::WithParamInterface<unsigned> {};

TEST_P(RetentionModelTest, GapsAreWhatPlainSetsSay) {
  std::mt19937 random(GetParam());
  const auto below = [&](unsigned bound) {
    return static_cast<unsigned>(random() % bound);
  };
  store_options_.window_records = 8;
  Reopen();
  std::map<uint64_t, std::string> live;  // by sequence
  std::vector<MapDevice> devices;
  std::vector<PlainDevice> plain(3);
  for (const std::string id : {"a", "b", "c"}) devices.push_back(Device(id));
  int made = 0;
  Append("first");
  live[store_->last_sequence().value()] = "first";
  for (int step = 0; step < 250; ++step) {
    const unsigned at = below(3);
    MapDevice& device = devices[at];
    PlainDevice& model = plain[at];
    switch (below(9)) {
      case 0:
      case 1:
      case 2: {
        const std::string id = std::to_string(++made);
        live[Append(id).value()] = id;
        break;
      }
      case 3: {
        if (live.empty()) break;
        const auto last = std::next(live.begin(), below(static_cast<unsigned>(live.size())));
        const SequenceNumber through(last->first);
        for (auto event = live.begin(); event != live.end() && event->first <= through.value();) {
          for (PlainDevice& other : plain) {
            if (other.known && !other.has.contains(event->second)) ++other.missing;
          }
          event = live.erase(event);
        }
        EXPECT_OK(source_->Trim("visits", through));
        break;
      }
      case 4:
      case 5:
      case 6: {
        uint64_t owed = 0;
        for (const auto& [sequence, id] : live) owed += model.has.contains(id) ? 0U : 1U;
        const bool started = device.Start();
        EXPECT_EQ(started, owed > 0 || model.missing > 0) << step;
        if (started) {
          model.known = true;
          EXPECT_EQ(device.session().owed, owed) << step;
          uint64_t told = 0;
          for (const Gap& gap : device.session().gaps) told += gap.count;
          EXPECT_EQ(told, model.missing) << step;
          model.told_count = told;
          while (below(4) > 0) {
            const auto page = device.Next(1 + below(3));
            ASSERT_OK(page);
            model.missing -= model.told_count;
            model.told_count = 0;
            if (!page->has_value()) break;
            if (below(3) == 0) continue;  // the page is lost
            const auto rows = BatchView::Parse((*page)->bytes, BatchKind::kPage);
            for (size_t i = 0; i < rows->size(); ++i) {
              if (!live.contains(rows->row(i).sequence.value())) continue;
              model.has.insert(std::string(rows->row(i).id));
            }
            device.Acknowledge({(*page)->token});
          }
        } else {
          model.known = true;
        }
        break;
      }
      case 7:
        if (below(2) == 0) {
          Kill();
        } else {
          Reopen();
        }
        for (MapDevice& other : devices) other.Move(*source_);
        break;
      case 8:
        EXPECT_OK(below(2) == 0 ? source_->Upkeep().status() : store_->Compact());
        break;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RetentionModelTest, ::testing::Range(1U, 13U));

}  // namespace
}  // namespace tidemark
