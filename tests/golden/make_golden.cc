// Makes the kept store and the kept batches of this build's formats:
//
//   make_golden format|keys DIRECTORY
//
// writes DIRECTORY/store and DIRECTORY/*.batch: `keys` a store with declared keys and queues. Run
// it once for a format number, never again: what is kept must be what the program of that time
// wrote.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "format/batch.h"
#include "tests/golden/golden_content.h"
#include "tests/golden/golden_keys.h"

namespace tidemark::golden {
namespace {

template <typename T>
T Require(Result<T> result) {
  if (!result.ok()) {
    std::cerr << result.status().ToString() << "\n";
    std::exit(1);
  }
  return std::move(result).value();
}

void Require(const Status& status) {
  if (status.ok()) return;
  std::cerr << status.ToString() << "\n";
  std::exit(1);
}

void WriteFile(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// The device acknowledges its first page, gets the second and loses it.
void Serve(Source& source, const std::filesystem::path& directory) {
  const std::string device(kDevice);
  const auto session = Require(source.StartSession({.device = device}));
  const auto first = Require(source.NextPage(session->id, {.records_max = 3}));
  WriteFile(directory / "page_1.batch", first->bytes);
  Require(source.Acknowledge(device, {first->token}));
  const auto second = Require(source.NextPage(session->id, {.records_max = 3}));
  WriteFile(directory / "page_2.batch", second->bytes);
}

// One of each kind of row that a page does not have: for readers of segments and files.
void WriteSegment(const std::filesystem::path& directory) {
  BatchBuilder builder;
  const EndedStay ended[] = {{SequenceNumber(2), SequenceNumber(5)}};
  builder.Add({.op = RowOp::kPut,
               .sequence = SequenceNumber(7),
               .birth = SequenceNumber(7),
               .id = "plain",
               .value = "value"});
  builder.Add({.op = RowOp::kPut,
               .value_kind = ValueKind::kJson,
               .sequence = SequenceNumber(9),
               .birth = SequenceNumber(3),
               .superseded = SequenceNumber(4),
               .id = "timed",
               .value = "{}",
               .writer_time = -5});
  builder.Add({.op = RowOp::kDelete,
               .id_form = IdForm::kInteger,
               .sequence = SequenceNumber(10),
               .birth = SequenceNumber(2),
               .id = "42",
               .ended = ended});
  WriteFile(directory / "segment.batch", builder.Finish({.kind = BatchKind::kSegment}));
}

// Forgets what only tells of the machine that wrote it.
void ForgetMachine(const std::filesystem::path& directory) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("LOG")) std::filesystem::remove(entry.path());
  }
}

void Make(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  {
    const auto store = Require(Store::Open(directory / "store", Options()));
    Require(store->Commit(FirstBatch()).status());
    const auto source = Require(Source::Open(*store));
    Serve(*source, directory);
    Require(store->Compact());
    Require(store->Commit(SecondBatch()).status());
    const auto uploads = Require(Uploads::Open(*store));
    const std::string sync = Require(uploads->Start());
    Require(uploads->PutPage(sync, StagedPage()).status());
  }
  WriteSegment(directory);
  ForgetMachine(directory);
}

void DeclareQueue(Source& source, const std::string& name, std::string_view json) {
  Require(source.DeclareQueue(Require(QueueFromJson(name, json))));
}

// The device, by a token that grants less than it has, acknowledges its first page and loses the
// second.
void ServeKeys(Source& source, const std::filesystem::path& directory) {
  const std::string device(kDevice);
  Require(source.Select(device, Require(SelectionRuleFromJson(kRule))));
  const auto limit = std::make_shared<const SelectionRule>(Require(SelectionRuleFromJson(kLimit)));
  const auto session = Require(source.StartSession({.device = device, .limit = limit}));
  const auto first = Require(source.NextPage(session->id, {.records_max = 2, .limit = limit}));
  WriteFile(directory / "page_1.batch", first->bytes);
  Require(source.Acknowledge(device, {first->token}));
  const auto second = Require(source.NextPage(session->id, {.records_max = 2, .limit = limit}));
  WriteFile(directory / "page_2.batch", second->bytes);
}

// One record that has and had values of keys, and one that is gone with them.
void WriteKeysSegment(const std::filesystem::path& directory) {
  BatchBuilder builder;
  const OpenStay stays[] = {{{.key = 1, .value = 7}, SequenceNumber(7)},
                            {{.key = 2, .value = 0x0123456789abcdef}, SequenceNumber(7)}};
  const EndedStay moved[] = {{SequenceNumber(3), SequenceNumber(7), SequenceNumber(4), {1, 99}}};
  const EndedStay gone[] = {{SequenceNumber(2), SequenceNumber(9), SequenceNumber(2), {1, 99}},
                            {SequenceNumber(2), SequenceNumber(9)}};
  builder.Add({.op = RowOp::kPut,
               .value_kind = ValueKind::kJson,
               .sequence = SequenceNumber(7),
               .birth = SequenceNumber(3),
               .id = "moved",
               .value = "{}",
               .ended = moved,
               .stays = stays});
  builder.Add({.op = RowOp::kDelete,
               .sequence = SequenceNumber(9),
               .birth = SequenceNumber(2),
               .id = "gone",
               .ended = gone});
  WriteFile(directory / "segment.batch", builder.Finish({.kind = BatchKind::kSegment}));
}

void WaitForIndex(Store& store) {
  while (store.FindEntity("visits")->keys_indexed_through < store.last_sequence()) {
    Require(store.Compact());
    store.WaitForCommit(store.last_sequence(), std::chrono::milliseconds(1));
  }
}

void MakeKeys(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  {
    const auto store = Require(Store::Open(directory / "store", Options()));
    Require(store->Commit(BeforeKeys()).status());
    Require(store->Declare("visits", Keyed(/*with_project=*/true)).status());
    Require(store->Commit(WithKeys()).status());
    const auto source = Require(Source::Open(*store));
    DeclareQueue(*source, "notes", kSecondQueue);
    DeclareQueue(*source, "north", kFirstQueue);
    ServeKeys(*source, directory);
    WaitForIndex(*store);
    Require(store->Commit(Moves()).status());
    Require(store->Declare("visits", Keyed(/*with_project=*/false)).status());
  }
  WriteKeysSegment(directory);
  ForgetMachine(directory);
}

}  // namespace
}  // namespace tidemark::golden

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  if (what == "format") {
    tidemark::golden::Make(argv[2]);
  } else if (what == "keys") {
    tidemark::golden::MakeKeys(argv[2]);
  } else {
    std::cerr << "usage: make_golden format|keys DIRECTORY\n";
    return 2;
  }
  return 0;
}
