// The kept store with declared keys, queues and a token's limit, and its batches, are read by this
// build.
#include "tests/golden/golden_keys.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/batch.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::golden {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class GoldenKeysTest : public testing::Test {
 protected:
  GoldenKeysTest() {
    const char* source = std::getenv("TIDEMARK_SOURCE_DIR");
    data_ = std::filesystem::path(source == nullptr ? "." : source) / "tests/golden/keys_1";
    std::filesystem::copy(
        data_ / "store", directory_.path() / "store", std::filesystem::copy_options::recursive);
    auto store = Store::Open(directory_.path() / "store", Options());
    EXPECT_OK(store);
    store_ = *std::move(store);
    auto source_of = Source::Open(*store_);
    EXPECT_OK(source_of);
    source_ = *std::move(source_of);
  }

  std::string ReadFile(const std::string& name) const {
    std::ifstream file(data_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  static std::vector<std::string> Ids(std::string_view page) {
    const auto rows = BatchView::Parse(page, BatchKind::kPage);
    EXPECT_OK(rows);
    std::vector<std::string> ids;
    for (size_t i = 0; rows.ok() && i < rows->size(); ++i) ids.emplace_back(rows->row(i).id);
    return ids;
  }
  static SelectionRule Rule(std::string_view json) {
    const auto rule = SelectionRuleFromJson(json);
    EXPECT_OK(rule);
    return *rule;
  }
  /// What a device that is new and granted this gets of a queue.
  std::vector<std::string> Read(const std::string& device,
                                std::string_view rule,
                                const std::string& queue) {
    EXPECT_OK(source_->Select(device, Rule(rule)));
    const auto session = source_->StartSession({.device = device});
    EXPECT_OK(session);
    if (!session.ok() || !session->has_value()) return {};
    const auto page = source_->NextPage((*session)->id, {.queue = queue});
    EXPECT_OK(page);
    return page.ok() && page->has_value() ? Ids((*page)->bytes) : std::vector<std::string>();
  }

  test::TempDirectory directory_;
  std::filesystem::path data_;
  std::unique_ptr<Store> store_;  // outlives `source_`
  std::unique_ptr<Source> source_;
};

TEST_F(GoldenKeysTest, TheStoreIsWholeAndItsKeysAreKnown) {
  std::vector<std::string> problems;
  EXPECT_OK(store_->Verify([&](const std::string& problem) { problems.push_back(problem); }));
  EXPECT_THAT(problems, IsEmpty());
  const auto visits = store_->FindEntity("visits");
  ASSERT_TRUE(visits.has_value());
  EXPECT_EQ(visits->declaration.keys, Keyed(/*with_project=*/false).keys);
  EXPECT_GT(visits->keys_indexed_through, SequenceNumber(1));
}

TEST_F(GoldenKeysTest, TheDeviceStandsWhereItStood) {
  const auto device = source_->GetDevice(kDevice);
  ASSERT_OK(device);
  EXPECT_EQ(device->rule, Rule(kRule));
  ASSERT_TRUE(device->limit.has_value());
  EXPECT_EQ(*device->limit, Rule(kLimit));
  EXPECT_EQ(device->unacknowledged, 1U);  // of the page that it lost
  EXPECT_EQ(device->holding, 1U);
}

TEST_F(GoldenKeysTest, QueuesAreDeclaredAsTheyWere) {
  const std::vector<QueueDeclaration> queues = source_->ListQueues();
  ASSERT_THAT(queues, SizeIs(2));
  EXPECT_EQ(queues[0].name, "north");
  EXPECT_EQ(QueueToJson(queues[0]), kFirstQueue);
  EXPECT_EQ(queues[1].name, "notes");
  EXPECT_EQ(QueueToJson(queues[1]), kSecondQueue);
}

TEST_F(GoldenKeysTest, SelectionsGoByTheKeysOfOldRowsAndNewOnes) {
  EXPECT_THAT(Read("a", R"({"entities":[{"entity":"visits","where":{"owner":1}}]})", "main"),
              ElementsAre("v3"));
  EXPECT_THAT(Read("b", R"({"entities":[{"entity":"visits","where":{"owner":2}}]})", "main"),
              ElementsAre("v2", "v1"));
  EXPECT_THAT(Read("c", R"({"everything":true})", "north"), ElementsAre("v2", "v1"));
}

TEST_F(GoldenKeysTest, AKeyThatWasDroppedIsTheSameWhenDeclaredAgain) {
  ASSERT_OK(store_->Declare("visits", Keyed(/*with_project=*/true)));
  EXPECT_THAT(Read("d", R"({"entities":[{"entity":"visits","where":{"project":7}}]})", "main"),
              ElementsAre("v1"));
}

TEST_F(GoldenKeysTest, TheBatchesAreRead) {
  EXPECT_THAT(Ids(ReadFile("page_1.batch")), ElementsAre("early", "v1"));
  EXPECT_THAT(Ids(ReadFile("page_2.batch")), ElementsAre("v3"));
  const std::string bytes = ReadFile("segment.batch");
  const auto segment = BatchView::Parse(bytes, BatchKind::kSegment);
  ASSERT_OK(segment);
  ASSERT_EQ(segment->size(), 2U);
  const BatchRow moved = segment->row(0);
  ASSERT_THAT(moved.stays, SizeIs(2));
  EXPECT_EQ(moved.stays[1], (OpenStay{{.key = 2, .value = 0x0123456789abcdef}, SequenceNumber(7)}));
  ASSERT_THAT(moved.ended, SizeIs(1));
  EXPECT_EQ(moved.ended[0],
            (EndedStay{SequenceNumber(3), SequenceNumber(7), SequenceNumber(4), {1, 99}}));
  const BatchRow gone = segment->row(1);
  EXPECT_EQ(gone.op, RowOp::kDelete);
  EXPECT_THAT(gone.ended, SizeIs(2));
}

}  // namespace
}  // namespace tidemark::golden
