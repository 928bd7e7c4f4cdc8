// Stores and batches of every released format, kept as data, are read by this build.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/batch.h"
#include "tests/golden/golden_content.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::golden {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::filesystem::path DataDirectory() {
  const char* source = std::getenv("TIDEMARK_SOURCE_DIR");
  return std::filesystem::path(source == nullptr ? "." : source) / "tests" / "golden";
}

std::vector<std::string> Formats() {
  std::vector<std::string> formats;
  for (const auto& entry : std::filesystem::directory_iterator(DataDirectory())) {
    const std::string name = entry.path().filename();
    if (entry.is_directory() && name.starts_with("format_")) formats.push_back(name);
  }
  return formats;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> Rows(std::string_view bytes, BatchKind kind) {
  const auto rows = BatchView::Parse(bytes, kind);
  EXPECT_OK(rows);
  std::vector<std::string> texts;
  for (size_t i = 0; rows.ok() && i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    const std::string op = row.op == RowOp::kPut       ? "put "
                           : row.op == RowOp::kCreated ? "created "
                           : row.op == RowOp::kUpdated ? "updated "
                                                       : "deleted ";
    const std::string entity =
        rows->entity_count() == 0 ? "" : std::string(rows->entity_name(row.entity)) + "/";
    texts.push_back(op + entity + std::string(row.id) +
                    (row.value.empty() ? "" : "=" + std::string(row.value)));
  }
  return texts;
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path Data() const { return DataDirectory() / GetParam(); }

  std::unique_ptr<Store> OpenCopy() {
    std::filesystem::copy(
        Data() / "store", directory_.path() / "store", std::filesystem::copy_options::recursive);
    auto store = Store::Open(directory_.path() / "store", Options());
    EXPECT_OK(store);
    return store.ok() ? *std::move(store) : nullptr;
  }

  test::TempDirectory directory_;
};

TEST_P(GoldenTest, TheStoreHoldsWhatWasWritten) {
  const auto store = OpenCopy();
  ASSERT_NE(store, nullptr);
  std::vector<std::string> people;
  RecordIterator records = store->GetView().Scan("people");
  while (records.Next()) people.push_back(records.id() + "=" + records.value());
  EXPECT_OK(records.status());
  EXPECT_THAT(people,
              ElementsAre(R"(1001={"id":1001,"name":"Ada"})",
                          R"(b-2={"name":"Grace H."})",
                          std::string("bytes=\0\x01\xff", 9),
                          R"(late={"name":"Barbara"})"));
  const auto ada = store->Get("people", RecordId(1001));
  ASSERT_TRUE(ada.ok() && ada->has_value());
  EXPECT_EQ((*ada)->id_form, IdForm::kInteger);
  const auto grace = store->Get("people", RecordId("b-2"));
  EXPECT_EQ((*grace)->writer_time, 1'900'000'000'000);
  EXPECT_EQ(store->FindEntity("visits")->declaration.kind, EntityKind::kIncremental);

  std::vector<std::string> problems;
  EXPECT_OK(store->Verify([&](const std::string& problem) { problems.push_back(problem); }));
  EXPECT_THAT(problems, IsEmpty());
}

TEST_P(GoldenTest, ARepeatedOperationIsKnown) {
  const auto store = OpenCopy();
  ASSERT_NE(store, nullptr);
  const auto repeated = store->Commit(FirstBatch());
  ASSERT_OK(repeated);
  EXPECT_TRUE(repeated->replayed);
}

TEST_P(GoldenTest, TheDeviceStandsWhereItStood) {
  const auto store = OpenCopy();
  ASSERT_NE(store, nullptr);
  const auto source = Source::Open(*store);
  ASSERT_OK(source);
  const auto device = (*source)->GetDevice(kDevice);
  ASSERT_OK(device);
  EXPECT_EQ(device->sessions, 1U);
  EXPECT_EQ(device->unacknowledged, 3U);  // the page that it lost
  EXPECT_EQ(device->holding, 1U);         // of that page, one record was deleted since

  // What is opened here is a copy, hence another history: the device starts over.
  const auto session = (*source)->StartSession({.device = std::string(kDevice)});
  ASSERT_OK(session);
  ASSERT_TRUE(session->has_value());
  EXPECT_TRUE((*session)->reset);
  const auto page = (*source)->NextPage((*session)->id);
  ASSERT_OK(page);
  ASSERT_TRUE(page->has_value());
  EXPECT_THAT(Rows((*page)->bytes, BatchKind::kPage),
              testing::UnorderedElementsAre(R"(created people/1001={"id":1001,"name":"Ada"})",
                                            std::string("created people/bytes=\0\x01\xff", 24),
                                            R"(created people/b-2={"name":"Grace H."})",
                                            R"(created people/late={"name":"Barbara"})",
                                            R"(created visits/v-1={"ward":3})",
                                            R"(created visits/~6={"ward":4})"));
}

TEST_P(GoldenTest, TheUploadSyncGoesOn) {
  const auto store = OpenCopy();
  ASSERT_NE(store, nullptr);
  const auto uploads = Uploads::Open(*store);
  ASSERT_OK(uploads);
  const auto active = (*uploads)->active();
  ASSERT_TRUE(active.has_value());
  const auto finished = (*uploads)->Finish(*active);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("teams").counts.created, 2U);
  EXPECT_EQ((*store->Get("teams", RecordId("t2")))->value, R"({"id":"t2","name":"red"})");
}

TEST_P(GoldenTest, TheBatchesAreRead) {
  EXPECT_THAT(Rows(ReadFile(Data() / "page_1.batch"), BatchKind::kPage),
              ElementsAre(R"(created people/1001={"id":1001,"name":"Ada"})",
                          R"(created people/b-2={"name":"Grace"})",
                          std::string("created people/bytes=\0\x01\xff", 24)));
  EXPECT_EQ(Rows(ReadFile(Data() / "page_2.batch"), BatchKind::kPage).size(), 3U);
  const std::string bytes = ReadFile(Data() / "segment.batch");
  EXPECT_THAT(Rows(bytes, BatchKind::kSegment),
              ElementsAre("put plain=value", "put timed={}", "deleted 42"));
  const auto segment = BatchView::Parse(bytes, BatchKind::kSegment);
  ASSERT_OK(segment);
  EXPECT_EQ(segment->row(1).writer_time, -5);
  EXPECT_EQ(segment->row(1).superseded, SequenceNumber(4));
  ASSERT_EQ(segment->row(2).ended.size(), 1U);
  EXPECT_EQ(segment->row(2).ended[0].until, SequenceNumber(5));
}

INSTANTIATE_TEST_SUITE_P(Formats, GoldenTest, testing::ValuesIn(Formats()), [](const auto& tested) {
  return tested.param;
});

}  // namespace
}  // namespace tidemark::golden
