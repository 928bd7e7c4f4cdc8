// Limits of a store at their edges: the largest is taken, the next is refused (docs/limits.md).
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "db/internal/store_impl.h"
#include "db/tuning.h"
#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

using test::StatusIs;

constexpr size_t kMebibyte = 1024 * 1024;

class LimitsTest : public test::StoreTest {
 protected:
  LimitsTest() { Open({.durability = Durability::kOrder}); }

  size_t Segments(std::string_view entity) const {
    const internal::StoreState& state = store_->impl().state;
    const std::unique_ptr<rocksdb::Iterator> segments(
        state.db->NewIterator(rocksdb::ReadOptions(), state.GetCatalog()->Find(entity)->log.get()));
    size_t count = 0;
    for (segments->SeekToFirst(); segments->Valid(); segments->Next()) ++count;
    return count;
  }
};

TEST_F(LimitsTest, OperationsOfABatch) {
  WriteBatch batch;
  for (size_t i = 0; i < tuning::kBatchOperations; ++i) batch.Put("users", "same", "x");
  ASSERT_OK(store_->Commit(batch));
  batch.Put("users", "same", "x");
  EXPECT_THAT(store_->Commit(batch), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(LimitsTest, BytesOfABatch) {
  WriteBatch batch;
  const std::string value(kMebibyte - 6, 'x');  // with "users" and an id of one byte: 1 MiB
  for (int i = 0; i < 64; ++i) batch.Put("users", "i", value);
  ASSERT_EQ(batch.payload_bytes(), tuning::kBatchBytes);
  ASSERT_OK(batch.status());
  batch.Delete("users", "i");
  EXPECT_THAT(store_->Commit(batch), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(LimitsTest, RowsOfUpperLayers) {
  const std::string row(8 * kMebibyte, 'x');
  ASSERT_OK(store_->Commit(WriteBatch().SetRow("row", row)));
  EXPECT_THAT(store_->Commit(WriteBatch().SetRow("row", row + "x")),
              StatusIs(ErrorCode::kTooLarge));
}

TEST_F(LimitsTest, EntitiesOfAKind) {
  constexpr int kMax = 256;
  WriteBatch batch;
  for (int i = 0; i < kMax; ++i) batch.Put("e" + std::to_string(i), 1, "x");
  ASSERT_OK(store_->Commit(batch));
  EXPECT_THAT(Put("one-more", 1, "x"), StatusIs(ErrorCode::kTooLarge));
  EXPECT_OK(store_->Commit(WriteBatch().Append("of-the-other-kind", RecordId("1"), "x")));
  Reopen();
  EXPECT_EQ(store_->ListEntities().size(), kMax + 1U);
  EXPECT_EQ(Value("e255", 1), "x");
}

TEST_F(LimitsTest, SequenceNumbers) {
  store_->impl().state.head.sequence = SequenceNumber(kSequenceLimit.value() - 2);
  ASSERT_OK(Put("users", "1", "a"));
  EXPECT_THAT(Put("users", "1", "b"), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(LimitsTest, EpochsOfAStore) {
  StoreIdentity identity = store_->identity();
  const Epoch epoch = identity.epochs.front();
  identity.epochs.assign(100'000, epoch);
  EXPECT_OK(internal::DecodeIdentity(internal::EncodeIdentity(identity)));
  identity.epochs.push_back(epoch);
  EXPECT_THAT(internal::DecodeIdentity(internal::EncodeIdentity(identity)),
              StatusIs(ErrorCode::kCorruption));
}

TEST_F(LimitsTest, RowsOfASegment) {
  WriteBatch batch;
  for (size_t i = 0; i < tuning::kSegmentRecords; ++i) batch.Put("full", std::to_string(i), "x");
  for (size_t i = 0; i <= tuning::kSegmentRecords; ++i) batch.Put("more", std::to_string(i), "x");
  ASSERT_OK(store_->Commit(batch));
  EXPECT_EQ(Segments("full"), 1U);
  EXPECT_EQ(Segments("more"), 2U);
}

TEST_F(LimitsTest, BytesOfASegment) {
  const std::string half(kMebibyte / 2 - 1, 'x');  // with an id of one byte
  WriteBatch batch;
  batch.Put("full", "1", half).Put("full", "2", half);
  batch.Put("more", "1", half).Put("more", "2", half).Put("more", "3", "");
  ASSERT_OK(store_->Commit(batch));
  EXPECT_EQ(Segments("full"), 1U);
  EXPECT_EQ(Segments("more"), 2U);
}

class DeclarationLimitsTest : public LimitsTest {
 protected:
  Status Declare(const EntityDeclaration& declaration) {
    return store_->Declare("things", declaration).status();
  }
};

TEST_F(DeclarationLimitsTest, Fields) {
  EntityDeclaration declaration;
  for (int i = 0; i < 256; ++i) declaration.fields.push_back({.name = "f" + std::to_string(i)});
  EXPECT_OK(Declare(declaration));
  declaration.fields.push_back({.name = "next"});
  EXPECT_THAT(Declare(declaration), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(DeclarationLimitsTest, NamesOfFields) {
  EntityDeclaration declaration;
  declaration.fields.push_back({.name = std::string(256, 'f')});
  EXPECT_OK(Declare(declaration));
  declaration.fields[0].name += 'f';
  EXPECT_THAT(Declare(declaration), StatusIs(ErrorCode::kInvalidArgument));
}

TEST_F(DeclarationLimitsTest, AllowedValues) {
  EntityDeclaration declaration;
  declaration.fields.push_back({.name = "f"});
  for (int i = 0; i < 1000; ++i) declaration.fields[0].allowed.push_back(std::to_string(i));
  EXPECT_OK(Declare(declaration));
  declaration.fields[0].allowed.emplace_back("next");
  EXPECT_THAT(Declare(declaration), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(DeclarationLimitsTest, References) {
  EntityDeclaration declaration;
  declaration.references.assign(64, {.field = "f", .entity = "others"});
  EXPECT_OK(Declare(declaration));
  declaration.references.push_back({.field = "f", .entity = "others"});
  EXPECT_THAT(Declare(declaration), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(DeclarationLimitsTest, FieldsOfAnId) {
  EntityDeclaration declaration;
  declaration.id_fields.clear();
  for (int i = 0; i < 8; ++i) declaration.id_fields.push_back("f" + std::to_string(i));
  EXPECT_OK(Declare(declaration));
  declaration.id_fields.emplace_back("next");
  EXPECT_THAT(Declare(declaration), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(DeclarationLimitsTest, TypeLabels) {
  EntityDeclaration declaration;
  declaration.type_label.assign(128, 't');
  EXPECT_OK(Declare(declaration));
  declaration.type_label += 't';
  EXPECT_THAT(Declare(declaration), StatusIs(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace tidemark
