#include "tools/line_reader.h"

#include <algorithm>
#include <span>

namespace tidemark::tools {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

Status AtPosition(const Status& status, std::string_view name, TextPosition position) {
  std::string place(name);
  if (position.line > 0) place += ", line " + std::to_string(position.line);
  if (position.column > 0) place += ", column " + std::to_string(position.column);
  return status.WithContext(place);
}

Result<bool> LineReader::Next() {
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool found, ReadLine());
    if (!found) return false;
    if (!IsBlank(line_)) return true;
  }
}

Result<bool> LineReader::ReadLine() {
  ++number_;
  const Status too_long(ErrorCode::kTooLarge,
                        "a line may have " + std::to_string(line_bytes_max_) + " bytes");
  size_t end = buffer_.find('\n', scanned_);
  while (end == std::string::npos && !ended_) {
    scanned_ = buffer_.size();
    if (buffer_.size() - begin_ > line_bytes_max_) return Error(too_long);
    TIDEMARK_ASSIGN_OR_RETURN(const size_t count, Fill());
    ended_ = count == 0;
    end = buffer_.find('\n', scanned_);
  }
  if (end == std::string::npos) {
    if (begin_ == buffer_.size()) {
      --number_;
      return false;
    }
    end = buffer_.size();  // the last line may lack its line end
  }
  line_ = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = scanned_ = std::min(end + 1, buffer_.size());
  if (line_.size() > line_bytes_max_) return Error(too_long);

  if (number_ == 1 && line_.starts_with(kByteOrderMark)) line_.remove_prefix(kByteOrderMark.size());
  if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
  return true;
}

Result<size_t> LineReader::Fill() {
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  const size_t old_size = buffer_.size();
  buffer_.resize(old_size + kChunkBytes);
  Result<size_t> count = source_.Read(std::span<char>(buffer_).subspan(old_size));
  buffer_.resize(old_size + (count.ok() ? *count : 0));
  if (count.ok()) bytes_read_ += *count;
  return count;
}

}  // namespace tidemark::tools
