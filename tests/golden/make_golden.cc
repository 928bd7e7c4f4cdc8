// Makes the kept store and the kept batches of this build's formats:
//
//   make_golden DIRECTORY
//
// writes DIRECTORY/store and DIRECTORY/*.batch. Run it once for a format number, never again:
// what is kept must be what the program of that time wrote.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "format/batch.h"
#include "tests/golden/golden_content.h"

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
  // What only tells of the machine that wrote it.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("LOG")) std::filesystem::remove(entry.path());
  }
}

}  // namespace
}  // namespace tidemark::golden

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_golden DIRECTORY\n";
    return 2;
  }
  tidemark::golden::Make(argv[1]);
  return 0;
}
