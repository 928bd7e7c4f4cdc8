#include "db/internal/guard.h"

#include <sys/stat.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "db/internal/rocks_status.h"
#include "format/checksum.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

constexpr std::string_view kMagic = "TDMG";
constexpr uint32_t kVersion = 1;
constexpr size_t kSlotBytes = 4096;  // what a disk writes as a whole, at least in pieces of 512
constexpr size_t kSlotCount = 2;
constexpr size_t kChecksumBytes = 16;
constexpr size_t kCheckedBytes = kSlotBytes - kChecksumBytes;
constexpr uint8_t kCleanFlag = 1;

std::string_view AsText(const std::array<uint8_t, 16>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void TakeBytes(ByteReader& reader, std::array<uint8_t, 16>& out) {
  for (uint8_t& byte : out) byte = reader.Byte();
}

// The slot that `state` belongs in.
size_t SlotOf(const GuardState& state) {
  return state.counter % kSlotCount;
}

// The checksum stands at the very end: a write that was cut anywhere leaves an old one behind.
std::string EncodeSlot(const GuardState& state) {
  std::string slot(kMagic);
  AppendBigEndian32(&slot, kVersion);
  slot += AsText(state.store);
  slot += AsText(state.epoch);
  AppendBigEndian64(&slot, state.epoch_ordinal);
  AppendBigEndian64(&slot, state.durable.value());
  AppendBigEndian64(&slot, state.counter);
  AppendBigEndian64(&slot, state.file.device);
  AppendBigEndian64(&slot, state.file.inode);
  slot += static_cast<char>(state.clean ? kCleanFlag : 0);
  slot.resize(kCheckedBytes, '\0');
  AppendHash(&slot, Checksum128(slot));
  assert(slot.size() == kSlotBytes);
  return slot;
}

// Nullopt for a slot that is not what some writer wrote at this place.
Result<std::optional<GuardState>> DecodeSlot(std::string_view slot, size_t index) {
  const std::optional<GuardState> bad;
  if (slot.size() != kSlotBytes || !slot.starts_with(kMagic)) return bad;
  const std::string_view checked = slot.substr(0, kCheckedBytes);
  if (LoadHash(slot.data() + kCheckedBytes) != Checksum128(checked)) return bad;

  ByteReader reader(checked.substr(kMagic.size()));
  if (const uint32_t version = reader.BigEndian32(); version != kVersion) {
    return Status(ErrorCode::kNewerFormat, "guard: version " + std::to_string(version));
  }
  GuardState state;
  TakeBytes(reader, state.store);
  TakeBytes(reader, state.epoch);
  state.epoch_ordinal = reader.BigEndian64();
  state.durable = SequenceNumber(reader.BigEndian64());
  state.counter = reader.BigEndian64();
  state.file.device = reader.BigEndian64();
  state.file.inode = reader.BigEndian64();
  state.clean = reader.Byte() == kCleanFlag;
  if (!reader.ok() || SlotOf(state) != index) return bad;
  return std::optional<GuardState>(state);
}

// `Create` writes both slots, so that two good ones always tell of one history.
bool Follows(const GuardState& newer, const GuardState& older) {
  return newer.store == older.store && newer.epoch == older.epoch &&
         newer.epoch_ordinal == older.epoch_ordinal && newer.file == older.file &&
         newer.durable >= older.durable;
}

std::optional<GuardState> ChooseSlot(const std::optional<GuardState>& first,
                                     const std::optional<GuardState>& second) {
  if (!first || !second) return first ? first : second;
  const bool second_is_newer = second->counter > first->counter;
  const GuardState& newer = second_is_newer ? *second : *first;
  const GuardState& older = second_is_newer ? *first : *second;
  if (!Follows(newer, older)) return std::nullopt;
  return newer;
}

// The file-system interface has no door to inodes, and looking at one changes nothing.
Result<FileIdentity> Identify(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return Status(ErrorCode::kIoError, path + ": " + std::strerror(errno));
  }
  return FileIdentity{.device = info.st_dev, .inode = info.st_ino};
}

Result<std::string> ReadSlots(rocksdb::FileSystem& fs, const std::string& path) {
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  TIDEMARK_RETURN_IF_ERROR(
      FromRocks(fs.NewSequentialFile(path, rocksdb::FileOptions(), &file, nullptr), "guard"));
  std::string bytes(kSlotCount * kSlotBytes, '\0');
  rocksdb::Slice read;
  TIDEMARK_RETURN_IF_ERROR(FromRocks(
      file->Read(bytes.size(), rocksdb::IOOptions(), &read, bytes.data(), nullptr), "guard"));
  return read.ToString();
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

Status SyncDirectory(rocksdb::FileSystem& fs, const std::string& path) {
  const rocksdb::IOOptions options;
  std::unique_ptr<rocksdb::FSDirectory> directory;
  TIDEMARK_RETURN_IF_ERROR(FromRocks(fs.NewDirectory(path, options, &directory, nullptr), "guard"));
  return FromRocks(directory->Fsync(options, nullptr), "guard");
}

}  // namespace

Result<std::optional<GuardState>> Guard::Read(rocksdb::FileSystem& fs, const std::string& path) {
  auto bytes = ReadSlots(fs, path);
  if (!bytes.ok()) {
    // RocksDB says "not found" only where the file, or its directory, is not there.
    if (fs.FileExists(path, rocksdb::IOOptions(), nullptr).IsNotFound()) {
      return std::optional<GuardState>();
    }
    return bytes.status();
  }
  const std::string_view view = *bytes;
  const auto slot = [view](size_t index) {
    return view.substr(std::min(index * kSlotBytes, view.size()), kSlotBytes);
  };
  TIDEMARK_ASSIGN_OR_RETURN(const auto first, DecodeSlot(slot(0), 0));
  TIDEMARK_ASSIGN_OR_RETURN(const auto second, DecodeSlot(slot(1), 1));
  std::optional<GuardState> state = ChooseSlot(first, second);
  if (state) {
    TIDEMARK_ASSIGN_OR_RETURN(const FileIdentity now, Identify(path));
    state->moved = now.inode != state->file.inode;
  }
  return state;
}

Result<GuardState> Guard::Create(rocksdb::FileSystem& fs,
                                 const std::string& path,
                                 GuardState state) {
  const rocksdb::IOOptions options;
  const std::string draft = path + ".new";
  std::unique_ptr<rocksdb::FSWritableFile> file;
  TIDEMARK_RETURN_IF_ERROR(
      FromRocks(fs.NewWritableFile(draft, rocksdb::FileOptions(), &file, nullptr), "guard"));
  TIDEMARK_ASSIGN_OR_RETURN(state.file, Identify(draft));
  state.moved = false;
  for (state.counter = 0;; ++state.counter) {
    TIDEMARK_RETURN_IF_ERROR(FromRocks(file->Append(EncodeSlot(state), options, nullptr), "guard"));
    if (state.counter + 1 == kSlotCount) break;
  }
  TIDEMARK_RETURN_IF_ERROR(FromRocks(file->Sync(options, nullptr), "guard"));
  TIDEMARK_RETURN_IF_ERROR(FromRocks(file->Close(options, nullptr), "guard"));
  TIDEMARK_RETURN_IF_ERROR(FromRocks(fs.RenameFile(draft, path, options, nullptr), "guard"));
  TIDEMARK_RETURN_IF_ERROR(SyncDirectory(fs, DirectoryOf(path)));
  return state;
}

Result<std::unique_ptr<GuardWriter>> GuardWriter::Open(std::shared_ptr<rocksdb::FileSystem> fs,
                                                       const std::string& path,
                                                       GuardState state) {
  std::unique_ptr<rocksdb::FSRandomRWFile> file;
  TIDEMARK_RETURN_IF_ERROR(
      FromRocks(fs->NewRandomRWFile(path, rocksdb::FileOptions(), &file, nullptr), "guard"));
  const bool was_clean = state.clean;
  std::unique_ptr<GuardWriter> writer(
      new GuardWriter(std::move(fs), std::move(file), std::move(state)));
  if (was_clean) TIDEMARK_RETURN_IF_ERROR(writer->WriteSlot(writer->covered_, /*clean=*/false));
  writer->thread_ = std::thread(&GuardWriter::Run, writer.get());
  return writer;
}

GuardWriter::GuardWriter(std::shared_ptr<rocksdb::FileSystem> fs,
                         std::unique_ptr<rocksdb::FSRandomRWFile> file,
                         GuardState state)
    : fs_(std::move(fs)),
      file_(std::move(file)),
      state_(std::move(state)),
      target_(state_.durable),
      covered_(state_.durable) {}

GuardWriter::~GuardWriter() {
  if (file_) static_cast<void>(Close(/*clean=*/false));
}

void GuardWriter::Advance(SequenceNumber durable) {
  {
    const std::lock_guard lock(mutex_);
    if (durable <= target_) return;
    target_ = durable;
  }
  wanted_.notify_one();
}

Status GuardWriter::Cover(SequenceNumber sequence) {
  std::unique_lock lock(mutex_);
  assert(sequence <= target_ && "only what Advance was told can be covered");
  written_.wait(lock, [&] { return covered_ >= sequence || !status_.ok(); });
  return status_;
}

Status GuardWriter::Close(bool clean) {
  assert(file_ && "closed twice");
  StopThread();
  Status status = status_;
  if (status.ok() && clean) status = WriteSlot(covered_, /*clean=*/true);
  const auto closed = file_->Close(rocksdb::IOOptions(), nullptr);
  file_.reset();
  if (status.ok()) status = FromRocks(closed, "guard");
  const std::lock_guard lock(mutex_);
  status_ = status;
  return status;
}

Status GuardWriter::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void GuardWriter::Run() {
  std::unique_lock lock(mutex_);
  while (status_.ok()) {
    wanted_.wait(lock, [this] { return target_ > covered_ || stop_; });
    if (target_ == covered_) return;
    const SequenceNumber target = target_;
    lock.unlock();
    Status status = WriteSlot(target, /*clean=*/false);
    lock.lock();
    if (status.ok()) covered_ = target;
    status_ = std::move(status);
    written_.notify_all();
  }
}

void GuardWriter::StopThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wanted_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Status GuardWriter::WriteSlot(SequenceNumber durable, bool clean) {
  const rocksdb::IOOptions options;
  state_.durable = durable;
  state_.clean = clean;
  ++state_.counter;
  const uint64_t offset = SlotOf(state_) * kSlotBytes;
  TIDEMARK_RETURN_IF_ERROR(
      FromRocks(file_->Write(offset, EncodeSlot(state_), options, nullptr), "guard"));
  return FromRocks(file_->Sync(options, nullptr), "guard");
}

}  // namespace tidemark::internal
