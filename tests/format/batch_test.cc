#include "format/batch.h"

#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/internal/batch_envelope.h"
#include "format/segment_row.h"
#include "tests/support/status_matchers.h"

namespace tidemark {
namespace {

using ::testing::HasSubstr;
using ::tidemark::test::StatusIs;

// A row that owns its bytes.
struct OwnedRow {
  BatchRow row;
  std::string id;
  std::string value;
  std::vector<EndedStay> ended;
  std::vector<OpenStay> stays;
  std::string changed;

  BatchRow View() const {
    BatchRow view = row;
    view.id = id;
    view.value = value;
    view.ended = ended;
    view.stays = stays;
    view.changed = changed;
    return view;
  }
};

struct Sample {
  BatchHeader header;
  std::vector<std::string> entities;
  std::vector<std::optional<EntityKind>> kinds;  // of the entities, if they are told
  std::vector<OwnedRow> rows;
};

std::string Encode(BatchBuilder* builder, const Sample& sample) {
  for (size_t i = 0; i < sample.entities.size(); ++i) {
    builder->Entity(sample.entities[i], sample.kinds[i]);
  }
  for (const OwnedRow& row : sample.rows) builder->Add(row.View());
  return builder->Finish(sample.header);
}

std::string Encode(const Sample& sample) {
  BatchBuilder builder;
  return Encode(&builder, sample);
}

class SampleMaker {
 public:
  explicit SampleMaker(uint32_t seed) : random_(seed) {}

  Sample Make(BatchKind kind, size_t rows) {
    Sample sample;
    sample.header = Header(kind);
    const size_t entities = Chance() ? 1 : 1 + Below(5);
    for (size_t i = 0; i < entities; ++i) sample.entities.push_back("entity" + std::to_string(i));
    const bool kinds = kind == BatchKind::kPage && Chance();
    for (size_t i = 0; i < entities; ++i) {
      std::optional<EntityKind>& told = sample.kinds.emplace_back();
      if (kinds && Below(3) != 0) told = static_cast<EntityKind>(Below(2));
    }
    const bool contiguous = Chance();
    const bool times = Chance();
    const bool ended = kind == BatchKind::kSegment && Chance();
    const bool keys = kind == BatchKind::kSegment && Chance();
    const bool changed = kind == BatchKind::kPush && Below(4) != 0;
    uint64_t sequence = kind == BatchKind::kUpload ? 0 : 1 + Below(1000);
    for (size_t i = 0; i < rows; ++i) {
      OwnedRow row = Row(kind, i, sequence, entities);
      if (changed && Chance()) row.changed = R"([")" + std::string(Below(20), 'n') + R"("])";
      if (times && Chance()) row.row.writer_time = static_cast<int64_t>(random_());
      if (ended && Below(4) == 0) {
        row.ended = {{SequenceNumber(1), SequenceNumber(2)},
                     {SequenceNumber(5), SequenceNumber(9)}};
      }
      if (ended && keys && Below(4) == 0) {
        row.ended.push_back({SequenceNumber(5), SequenceNumber(9), SequenceNumber(7), {2, 77}});
      }
      for (uint64_t key = keys ? Below(3) : 0; key > 0; --key) {
        const KeyValue value{static_cast<uint16_t>(key), random_()};
        row.stays.push_back({value, row.row.birth});
      }
      sample.rows.push_back(row);
      if (kind != BatchKind::kUpload) sequence += contiguous ? 1 : 1 + Below(9);
    }
    return sample;
  }

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool Chance() { return Below(2) == 0; }

 private:
  BatchHeader Header(BatchKind kind) {
    BatchHeader header;
    header.kind = kind;
    if (kind == BatchKind::kSegment) return header;
    header.store = std::string(16, '\x01');
    header.epoch = std::string(16, '\xfe');
    header.device = "phone-\xc3\xa9";
    header.session = random_();
    header.page = 3;
    header.cut = SequenceNumber(100'000);
    header.cut_chain = {random_(), random_()};
    header.reset = Chance();
    header.token = "token";
    header.origin = "origin";
    return header;
  }

  OwnedRow Row(BatchKind kind, size_t index, uint64_t sequence, size_t entities) {
    OwnedRow row;
    row.row.entity = static_cast<uint16_t>(Below(entities));
    row.row.op = kind == BatchKind::kPage ? RowOp::kCreated
                 : Chance()               ? RowOp::kPut
                                          : RowOp::kDelete;
    row.row.id_form = Chance() ? IdForm::kText : IdForm::kInteger;
    row.row.value_kind = static_cast<ValueKind>(Below(3));
    row.row.sequence = SequenceNumber(sequence);
    row.row.birth = SequenceNumber(Chance() ? sequence : sequence / 2);
    if (kind == BatchKind::kSegment) row.row.superseded = SequenceNumber(sequence / 2);
    if (kind == BatchKind::kSegment && index % 3 == 1) {
      row.row.origin_birth = SequenceNumber(7);
      row.row.origin_head = SequenceNumber(7 + index);
    }
    row.id = std::to_string(index) + std::string(Below(20), 'x');
    row.value = std::string(Below(60), static_cast<char>(Below(256)));
    return row;
  }

  std::mt19937_64 random_;
};

void ExpectHolds(const BatchView& view, const Sample& sample) {
  ASSERT_EQ(view.size(), sample.rows.size());
  ASSERT_EQ(view.entity_count(), sample.entities.size());
  for (size_t i = 0; i < sample.entities.size(); ++i) {
    EXPECT_EQ(view.entity_name(static_cast<uint16_t>(i)), sample.entities[i]);
    EXPECT_EQ(view.entity_kind(static_cast<uint16_t>(i)), sample.kinds[i]);
  }
  for (size_t i = 0; i < view.size(); ++i) {
    const BatchRow got = view.row(i);
    const BatchRow want = sample.rows[i].View();
    EXPECT_EQ(got.entity, want.entity);
    EXPECT_EQ(got.op, want.op);
    EXPECT_EQ(got.id_form, want.id_form);
    EXPECT_EQ(got.value_kind, want.value_kind);
    EXPECT_EQ(got.sequence, want.sequence);
    EXPECT_EQ(got.birth, want.birth);
    EXPECT_EQ(got.superseded, want.superseded);
    EXPECT_EQ(got.origin_birth, want.origin_birth);
    EXPECT_EQ(got.origin_head, want.origin_head);
    EXPECT_EQ(got.id, want.id);
    EXPECT_EQ(got.value, want.value);
    EXPECT_EQ(got.writer_time, want.writer_time);
    EXPECT_EQ(got.changed, want.changed);
    EXPECT_TRUE(
        std::equal(got.ended.begin(), got.ended.end(), want.ended.begin(), want.ended.end()));
    EXPECT_TRUE(
        std::equal(got.stays.begin(), got.stays.end(), want.stays.begin(), want.stays.end()));
    if (want.sequence != kSequenceZero) {
      EXPECT_EQ(view.Find(want.sequence), i);
    }
  }
  const BatchHeader header = view.header();
  EXPECT_EQ(header.store, sample.header.store);
  EXPECT_EQ(header.epoch, sample.header.epoch);
  EXPECT_EQ(header.device, sample.header.device);
  EXPECT_EQ(header.session, sample.header.session);
  EXPECT_EQ(header.page, sample.header.page);
  EXPECT_EQ(header.cut, sample.header.cut);
  EXPECT_EQ(header.cut_chain, sample.header.cut_chain);
  EXPECT_EQ(header.reset, sample.header.reset);
  EXPECT_EQ(header.token, sample.header.token);
  EXPECT_EQ(header.origin, sample.header.origin);
}

constexpr BatchKind kKinds[] = {
    BatchKind::kSegment, BatchKind::kPage, BatchKind::kUpload, BatchKind::kFile, BatchKind::kPush};

// Small batches of different shape.
std::vector<std::pair<BatchKind, std::string>> SmallBatches() {
  std::vector<std::pair<BatchKind, std::string>> batches;
  uint32_t seed = 1;
  for (const BatchKind kind : kKinds) {
    for (const size_t rows : {size_t{0}, size_t{1}, size_t{7}}) {
      batches.emplace_back(kind, Encode(SampleMaker(seed++).Make(kind, rows)));
    }
  }
  return batches;
}

// Not the checksum, but everything behind it has to refuse what is wrong.
void Reseal(std::string* batch) {
  if (batch->size() < internal::kEnvelopeBytes) return;
  const auto payload = static_cast<uint32_t>(batch->size() - internal::kEnvelopeBytes);
  std::memcpy(batch->data() + 8, &payload, sizeof(payload));
  internal::SealEnvelope(batch);
}

// Reads everything that a view offers; a sanitizer watches.
size_t ReadAll(const BatchView& view) {
  size_t sum = view.header().device.size();
  for (size_t i = 0; i < view.size(); ++i) {
    const BatchRow row = view.row(i);
    for (const char c : row.id) sum += static_cast<uint8_t>(c);
    for (const char c : row.value) sum += static_cast<uint8_t>(c);
    for (const char c : row.changed) sum += static_cast<uint8_t>(c);
    sum += row.ended.size() + view.Find(row.sequence);
    if (view.entity_count() > 0) {
      sum += view.entity_name(row.entity).size();
      sum += view.entity_kind(row.entity) == EntityKind::kIncremental ? size_t{1} : size_t{0};
    }
  }
  return sum;
}

TEST(BatchTest, HoldsWhatWasAdded) {
  BatchBuilder builder;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SampleMaker maker(seed);
    const BatchKind kind = kKinds[seed % std::size(kKinds)];
    const Sample sample = maker.Make(kind, maker.Below(200));
    const std::string bytes = Encode(&builder, sample);
    EXPECT_TRUE(builder.empty());
    // Any alignment, and an allocation that ends where the batch does.
    for (size_t offset = 0; offset < 8; offset += 1 + offset % 2) {
      const std::vector<char> moved = [&] {
        std::vector<char> copy(offset);
        copy.insert(copy.end(), bytes.begin(), bytes.end());
        return copy;
      }();
      const auto view = BatchView::Parse({moved.data() + offset, bytes.size()}, kind);
      ASSERT_OK(view);
      ExpectHolds(*view, sample);
    }
  }
}

TEST(BatchTest, HoldsAThousandRows) {
  const Sample sample = SampleMaker(9).Make(BatchKind::kPage, kBatchRecordsMax);
  const std::string bytes = Encode(sample);
  const auto view = BatchView::Parse(bytes, BatchKind::kPage);
  ASSERT_OK(view);
  ExpectHolds(*view, sample);
  EXPECT_EQ(view->Find(SequenceNumber(999'999)), view->size());
}

TEST(BatchTest, LeavesOutColumnsThatSayNothing) {
  BatchBuilder builder;
  builder.Entity("e");
  for (uint64_t i = 1; i <= 100; ++i) {
    BatchRow row;
    row.sequence = row.birth = SequenceNumber(i);
    row.id = "i";
    builder.Add(row);
  }
  EXPECT_EQ(builder.size(), 100U);
  EXPECT_EQ(builder.payload_bytes(), 100U);
  EXPECT_LT(builder.Finish({}).size(), 100U * (1 + 4 + 4 + 1) + 200);
}

TEST(BatchTest, RefusesAnotherKind) {
  const std::string bytes = Encode(SampleMaker(1).Make(BatchKind::kUpload, 3));
  EXPECT_THAT(BatchView::Parse(bytes, BatchKind::kPage),
              StatusIs(ErrorCode::kMalformedBatch, HasSubstr("kind 3, expected 2")));
}

TEST(BatchTest, TellsNewerFromDamaged) {
  std::string bytes = Encode(SampleMaker(1).Make(BatchKind::kPage, 3));
  bytes[4] = kBatchFormatMajor + 1;
  EXPECT_THAT(BatchView::Parse(bytes, BatchKind::kPage), StatusIs(ErrorCode::kMalformedBatch));
  Reseal(&bytes);
  EXPECT_THAT(BatchView::Parse(bytes, BatchKind::kPage), StatusIs(ErrorCode::kNewerFormat));
  bytes[4] = kBatchFormatMajor;
  bytes[5] = kBatchFormatMinor + 1;
  Reseal(&bytes);
  EXPECT_OK(BatchView::Parse(bytes, BatchKind::kPage));
  bytes[6] = 1;
  Reseal(&bytes);
  EXPECT_THAT(BatchView::Parse(bytes, BatchKind::kPage), StatusIs(ErrorCode::kMalformedBatch));
}

TEST(BatchTest, RefusesMeaningsThatCannotBe) {
  const auto parse = [](BatchKind kind, auto change) {
    BatchBuilder builder;
    builder.Entity("e");
    BatchRow row;
    row.op = kind == BatchKind::kPage ? RowOp::kCreated : RowOp::kPut;
    row.sequence = row.birth = SequenceNumber(10);
    row.id = "i";
    change(&row);
    builder.Add(row);
    BatchHeader header;
    header.kind = kind;
    return BatchView::Parse(builder.Finish(header), kind).status().code();
  };
  const std::string long_id(kIdBytesMax, 'i');
  const std::string longer_id(kIdBytesMax + 1, 'i');
  const std::string long_value(kValueBytesMax, 'v');
  const std::string longer_value(kValueBytesMax + 1, 'v');
  const EndedStay empty_life[] = {{SequenceNumber(5), SequenceNumber(5)}};
  constexpr auto kBad = ErrorCode::kMalformedBatch;
  constexpr auto kSegment = BatchKind::kSegment;
  EXPECT_EQ(parse(kSegment, [](BatchRow*) {}), ErrorCode::kOk);
  EXPECT_EQ(parse(kSegment, [&](BatchRow* row) { row->id = long_id; }), ErrorCode::kOk);
  EXPECT_EQ(parse(kSegment, [&](BatchRow* row) { row->id = longer_id; }), kBad);
  EXPECT_EQ(parse(kSegment, [&](BatchRow* row) { row->value = long_value; }), ErrorCode::kOk);
  // Tables of the engine itself wrap values of others.
  const std::string local_value(kLocalValueBytesMax, 'v');
  const std::string beyond_local(kLocalValueBytesMax + 1, 'v');
  EXPECT_EQ(parse(kSegment, [&](BatchRow* row) { row->value = local_value; }), ErrorCode::kOk);
  EXPECT_EQ(parse(kSegment, [&](BatchRow* row) { row->value = beyond_local; }), kBad);
  for (const BatchKind kind : {BatchKind::kPage, BatchKind::kPush}) {
    EXPECT_EQ(parse(kind, [&](BatchRow* row) { row->value = long_value; }), ErrorCode::kOk);
    EXPECT_EQ(parse(kind, [&](BatchRow* row) { row->value = longer_value; }), kBad);
  }
  EXPECT_EQ(parse(kSegment, [](BatchRow* row) { row->id = ""; }), kBad);
  EXPECT_EQ(parse(kSegment, [](BatchRow* row) { row->entity = 1; }), kBad);
  EXPECT_EQ(parse(kSegment, [](BatchRow* row) { row->op = RowOp::kCreated; }), kBad);
  EXPECT_EQ(parse(kSegment, [](BatchRow* row) { row->birth = SequenceNumber(11); }), kBad);
  EXPECT_EQ(parse(kSegment, [](BatchRow* row) { row->superseded = row->sequence; }), kBad);
  EXPECT_EQ(parse(kSegment, [](BatchRow* row) { row->sequence = row->birth = kSequenceZero; }),
            kBad);
  EXPECT_EQ(parse(kSegment, [](BatchRow* row) { row->sequence = kSequenceLimit; }), kBad);
  EXPECT_EQ(parse(kSegment, [&](BatchRow* row) { row->ended = empty_life; }), kBad);
  const auto parse_ended = [&](EndedStay stay) {
    return parse(kSegment, [&](BatchRow* row) { row->ended = std::span(&stay, 1); });
  };
  constexpr SequenceNumber kBirth(4);
  constexpr SequenceNumber kUntil(8);
  EXPECT_EQ(parse_ended({kBirth, kUntil, kBirth, {1, 7}}), ErrorCode::kOk);
  EXPECT_EQ(parse_ended({kBirth, kUntil, kBirth.Previous(), {1, 7}}), kBad);
  EXPECT_EQ(parse_ended({kBirth, kUntil, kUntil, {1, 7}}), kBad);
  const auto parse_stay = [&](OpenStay stay) {
    return parse(kSegment, [&](BatchRow* row) { row->stays = std::span(&stay, 1); });
  };
  EXPECT_EQ(parse_stay({{1, 7}, SequenceNumber(10)}), ErrorCode::kOk);
  EXPECT_EQ(parse_stay({{1, 7}, SequenceNumber(11)}), kBad);
  EXPECT_EQ(parse_stay({{0, 7}, SequenceNumber(10)}), kBad);
  EXPECT_EQ(parse(BatchKind::kPage, [](BatchRow*) {}), ErrorCode::kOk);
  EXPECT_EQ(parse(BatchKind::kPage, [](BatchRow* row) { row->op = RowOp::kPut; }), kBad);
  EXPECT_EQ(parse(BatchKind::kPage, [](BatchRow* row) { row->id = "a\nb"; }), kBad);
  EXPECT_EQ(parse(BatchKind::kUpload, [](BatchRow* row) { row->id = ""; }), ErrorCode::kOk);
  const std::string long_list(kChangedBytesMax, 'n');
  const std::string longer_list(kChangedBytesMax + 1, 'n');
  const auto parse_changed = [&](BatchKind kind, std::string_view list) {
    return parse(kind, [&](BatchRow* row) { row->changed = list; });
  };
  EXPECT_EQ(parse_changed(BatchKind::kPush, long_list), ErrorCode::kOk);
  EXPECT_EQ(parse_changed(BatchKind::kPush, longer_list), kBad);
  EXPECT_EQ(parse_changed(BatchKind::kFile, "[]"), kBad) << "only pushes say what they changed";
}

// Bytes of the hexadecimal dump in docs/storage_format.md.
std::string DocumentedBatch() {
  std::ifstream file(TIDEMARK_SOURCE_DIR "/docs/storage_format.md");
  const std::string heading = "### Example";
  std::string bytes;
  bool in_example = false;
  for (std::string line; std::getline(file, line);) {
    in_example = in_example || line == heading;
    std::istringstream words(line);
    std::string word;
    if (!in_example || line.rfind("    0", 0) != 0 || !(words >> word)) continue;
    while (words >> word) bytes.push_back(static_cast<char>(std::stoi(word, nullptr, 16)));
  }
  return bytes;
}

TEST(BatchTest, IsAsDocumented) {
  BatchBuilder builder;
  builder.Entity("users");
  BatchRow row;
  row.sequence = row.birth = SequenceNumber(7);
  row.id = "u1";
  row.value = "{}";
  row.value_kind = ValueKind::kJson;
  builder.Add(row);
  row = BatchRow();
  row.op = RowOp::kDelete;
  row.sequence = SequenceNumber(8);
  row.birth = row.superseded = SequenceNumber(3);
  row.id = "u2";
  builder.Add(row);
  EXPECT_EQ(builder.Finish({}), DocumentedBatch());
}

TEST(BatchHostileTest, EveryFlippedBitIsRefused) {
  for (const auto& [kind, good] : SmallBatches()) {
    ASSERT_OK(BatchView::Parse(good, kind));
    std::string bytes = good;
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const char flipped = static_cast<char>(1U << bit % 8);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flipped);
      ASSERT_THAT(BatchView::Parse(bytes, kind), StatusIs(ErrorCode::kMalformedBatch)) << bit;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flipped);
    }
  }
}

TEST(BatchHostileTest, EveryTruncationInsertionAndSpliceIsRefused) {
  const auto batches = SmallBatches();
  for (const auto& [kind, good] : batches) {
    for (size_t at = 0; at <= good.size(); ++at) {
      if (at < good.size()) {
        ASSERT_FALSE(BatchView::Parse(good.substr(0, at), kind).ok()) << at;
      }
      for (const char inserted : {'\0', 'T'}) {
        const std::string longer = good.substr(0, at) + inserted + good.substr(at);
        ASSERT_FALSE(BatchView::Parse(longer, kind).ok()) << at;
      }
    }
    for (const auto& [other_kind, other] : batches) {
      if (other == good) continue;
      for (size_t at = 0; at < std::min(good.size(), other.size()); at += 8) {
        const std::string spliced = good.substr(0, at) + other.substr(at);
        if (spliced == other) continue;
        ASSERT_FALSE(BatchView::Parse(spliced, other_kind).ok()) << at;
      }
    }
  }
}

TEST(BatchHostileTest, MutationsUnderAGoodChecksumNeverReadOutOfBounds) {
  std::mt19937_64 random(7);
  size_t accepted = 0;
  size_t sum = 0;
  for (const auto& [kind, good] : SmallBatches()) {
    for (int round = 0; round < 1500; ++round) {
      std::string bytes = good;
      for (uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
        const size_t at = 12 + random() % (bytes.size() - 12);
        const uint64_t choice = random() % 4;
        if (choice == 0) bytes[at] = static_cast<char>(random());
        if (choice == 1) bytes[at] = static_cast<char>(bytes[at] + 1);
        if (choice == 2) bytes[at] = '\xff';
        if (choice == 3 && at > internal::kEnvelopeBytes) bytes.resize(at);
      }
      Reseal(&bytes);
      const std::vector<char> exact(bytes.begin(), bytes.end());
      const auto view = BatchView::Parse({exact.data(), exact.size()}, kind);
      if (!view.ok()) continue;
      ++accepted;
      sum += ReadAll(*view);
    }
  }
  EXPECT_GT(accepted, 0U);  // a changed value is a good batch of its own
  EXPECT_GT(sum, 0U);
}

TEST(BatchTest, PickedRowsSayWhatRowsAddedOneByOneSay) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SampleMaker maker(seed);
    const std::string segment = Encode(maker.Make(BatchKind::kSegment, 1 + maker.Below(200)));
    const auto from = BatchView::Parse(segment, BatchKind::kSegment);
    ASSERT_TRUE(from.ok());
    BatchBuilder picking;
    BatchBuilder adding;
    for (BatchBuilder* builder : {&picking, &adding}) {
      builder->Entity("first");
      builder->Entity("second");
    }
    std::vector<PickedRow> picked;
    for (size_t i = 0; i < from->size(); ++i) {
      BatchRow row = from->row(i);
      if (maker.Below(4) == 0) continue;
      row.entity = 1;
      row.op = maker.Chance() ? RowOp::kCreated : RowOp::kUpdated;
      picked.push_back({static_cast<uint16_t>(i), row.op});
      row.superseded = kSequenceZero;
      row.ended = {};
      row.stays = {};
      row.origin_birth = kSequenceZero;
      row.origin_head = kSequenceZero;
      adding.Add(row);
    }
    if (picked.empty()) continue;
    const size_t half = picked.size() / 2;
    picking.AddPicked(*from, std::span(picked).first(half), 1);
    picking.AddPicked(*from, std::span(picked).subspan(half), 1);
    EXPECT_EQ(picking.payload_bytes(), adding.payload_bytes());
    const BatchHeader header{.kind = BatchKind::kPage};
    EXPECT_EQ(picking.Finish(header), adding.Finish(header)) << "seed " << seed;
  }
}

Result<BatchRow> FindRow(std::string_view segment, SequenceNumber sequence) {
  TIDEMARK_ASSIGN_OR_RETURN(const SegmentRows rows, SegmentRows::Open(segment));
  return rows.Find(sequence);
}

TEST(SegmentRowTest, IsTheRowThatTheWholeSegmentHas) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SampleMaker maker(seed);
    const std::string segment = Encode(maker.Make(BatchKind::kSegment, 1 + maker.Below(200)));
    const auto whole = BatchView::Parse(segment, BatchKind::kSegment);
    ASSERT_TRUE(whole.ok());
    for (size_t i = 0; i < whole->size(); ++i) {
      const BatchRow wanted = whole->row(i);
      const auto row = FindRow(segment, wanted.sequence);
      ASSERT_TRUE(row.ok()) << row.status().message();
      EXPECT_EQ(row->id, wanted.id);
      EXPECT_EQ(row->value, wanted.value);
      EXPECT_EQ(row->op, wanted.op);
      EXPECT_EQ(row->id_form, wanted.id_form);
      EXPECT_EQ(row->value_kind, wanted.value_kind);
      EXPECT_EQ(row->birth, wanted.birth);
      EXPECT_EQ(row->superseded, wanted.superseded);
      EXPECT_EQ(row->writer_time, wanted.writer_time);
    }
    const SequenceNumber beyond = whole->sequence(whole->size() - 1).Next();
    EXPECT_THAT(FindRow(segment, beyond).status(), StatusIs(ErrorCode::kMalformedBatch));
    EXPECT_THAT(FindRow(segment, kSequenceZero).status(), StatusIs(ErrorCode::kMalformedBatch));
  }
}

// Its checksum was checked by whoever read it, so what is damaged here is only kept from being read
// beyond the bytes; the sanitizers judge.
TEST(SegmentRowTest, DamageIsNeverReadBeyondTheBytes) {
  SampleMaker maker(7);
  const std::string good = Encode(maker.Make(BatchKind::kSegment, 100));
  const SequenceNumber first = BatchView::Parse(good, BatchKind::kSegment)->sequence(0);
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    for (uint64_t flips = 1 + maker.Below(3); flips > 0; --flips) {
      bad[maker.Below(bad.size())] = static_cast<char>(maker.Below(256));
    }
    const auto row = FindRow(bad, first + maker.Below(100));
    if (!row.ok()) continue;
    EXPECT_LE(row->id.size(), kIdBytesMax);
    uint64_t touched = 0;
    for (const char character : row->value) touched += static_cast<unsigned char>(character);
    EXPECT_LE(touched, 255 * row->value.size());
  }
}

}  // namespace
}  // namespace tidemark
