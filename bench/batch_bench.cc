// W7: how fast does a batch of 1,000 records go from rows to bytes and back, checked, beside
// copying the same payload and hashing it once?
#include "format/batch.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "bench/harness.h"
#include "bench/workload.h"
#include "format/checksum.h"

namespace tidemark::bench {
namespace {

// The rows of one page and the memory they lie in.
struct Page {
  Page() {
    LoadOperations load;
    const Batch batch = load.Next(kPageRecords);
    payload.reserve(kPageRecords * (kIdBytes + kValueBytes));
    for (const Operation& operation : batch) {
      const char* id = payload.data() + payload.size();
      payload.append(View(operation.id)).append(operation.value);
      BatchRow row;
      row.sequence = SequenceNumber(rows.size() + 1);
      row.birth = row.sequence;
      row.id = {id, kIdBytes};
      row.value = {id + kIdBytes, kValueBytes};
      rows.push_back(row);
    }
  }
  std::string payload;
  std::vector<BatchRow> rows;
};

std::string Encode(const Page& page, BatchBuilder* builder) {
  builder->Entity("items");
  for (const BatchRow& row : page.rows) builder->Add(row);
  return builder->Finish({.kind = BatchKind::kSegment});
}

uint64_t Decode(std::string_view bytes) {
  const BatchView view = Require(BatchView::Parse(bytes, BatchKind::kSegment), "parse");
  uint64_t touched = 0;
  for (size_t i = 0; i < view.size(); ++i) {
    const BatchRow row = view.row(i);
    touched += row.sequence.value() + row.id.size() + row.value.size();
  }
  return touched;
}

void SetRates(benchmark::State& state, const Page& page) {
  const auto rounds = static_cast<double>(state.iterations());
  state.SetBytesProcessed(static_cast<int64_t>(page.payload.size()) *
                          static_cast<int64_t>(state.iterations()));
  state.counters["record_us"] = benchmark::Counter(
      rounds * kPageRecords / 1e6, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void RoundTrip(benchmark::State& state) {
  const Page page;
  BatchBuilder builder;
  for (auto _ : state) benchmark::DoNotOptimize(Decode(Encode(page, &builder)));
  SetRates(state, page);
}

void EncodeOnly(benchmark::State& state) {
  const Page page;
  BatchBuilder builder;
  for (auto _ : state) benchmark::DoNotOptimize(Encode(page, &builder).data());
  SetRates(state, page);
}

void DecodeOnly(benchmark::State& state) {
  const Page page;
  BatchBuilder builder;
  const std::string bytes = Encode(page, &builder);
  for (auto _ : state) benchmark::DoNotOptimize(Decode(bytes));
  SetRates(state, page);
}

void CopyAndHash(benchmark::State& state) {
  const Page page;
  std::string copy(page.payload.size(), '\0');
  for (auto _ : state) {
    std::memcpy(copy.data(), page.payload.data(), copy.size());
    benchmark::DoNotOptimize(Checksum128(copy));
  }
  SetRates(state, page);
}

}  // namespace

void RegisterBenchmarks() {
  benchmark::RegisterBenchmark("W7_batch/engine/round_trip", RoundTrip);
  benchmark::RegisterBenchmark("W7_batch/floor/round_trip", CopyAndHash);
  benchmark::RegisterBenchmark("W7_batch/engine_encode/round_trip", EncodeOnly);
  benchmark::RegisterBenchmark("W7_batch/engine_decode/round_trip", DecodeOnly);
}

}  // namespace tidemark::bench
