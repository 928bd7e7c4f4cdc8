#include "tools/csv.h"

#include <span>
#include <string_view>
#include <unordered_set>

namespace tidemark::tools {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Status CsvReader::ReadHeader() {
  TIDEMARK_ASSIGN_OR_RETURN(const bool found, ReadRow());
  if (!found) return Error("a header row with the names of the columns is required", here_);
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < row_.size(); ++i) {
    const TextPosition place = cell_positions_[i];
    if (row_[i].empty()) return Error("column " + std::to_string(i + 1) + " has no name", place);
    if (!names.insert(row_[i]).second) {
      return Error("column \"" + row_[i] + "\" stands twice", place);
    }
  }
  header_ = row_;
  return {};
}

Result<bool> CsvReader::Next() {
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool found, ReadRow());
    if (!found) return false;
    const bool blank = row_.size() == 1 && row_[0].empty() && header_.size() > 1;
    if (blank) continue;
    if (row_.size() == header_.size()) return true;
    return Error("the row has " + std::to_string(row_.size()) + " cells, the header " +
                     std::to_string(header_.size()),
                 {.line = row_line_});
  }
}

Result<bool> CsvReader::ReadRow() {
  row_.clear();
  cell_positions_.clear();
  row_bytes_ = 0;
  row_line_ = here_.line;
  cell_begin_ = {.line = here_.line, .column = 1};
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const int byte, NextByte());
    if (byte < 0) break;
    ++here_.column;
    TIDEMARK_ASSIGN_OR_RETURN(const Step step, Take(static_cast<char>(byte)));
    if (byte == '\n') here_ = {.line = here_.line + 1, .column = 0};
    if (step == Step::kRowEnd) return true;
  }
  const bool nothing = row_.empty() && cell_.empty() && state_ == State::kCellStart;
  if (nothing && !carriage_return_) return false;
  TIDEMARK_RETURN_IF_ERROR(EndOfInput());
  return true;
}

Result<CsvReader::Step> CsvReader::Take(char c) {
  if (++row_bytes_ > row_bytes_max_) {
    return Status(ErrorCode::kTooLarge,
                  name() + ", line " + std::to_string(row_line_) + ": a row may have " +
                      std::to_string(row_bytes_max_) + " bytes");
  }
  if (carriage_return_ && c != '\n') return Error("a carriage return without a line feed", here_);
  if (state_ == State::kQuoted) {
    if (c == '"') {
      state_ = State::kQuoteInQuoted;
    } else {
      cell_ += c;
    }
    return Step::kContinue;
  }
  switch (c) {
    case ',':
      TIDEMARK_RETURN_IF_ERROR(AddCell());
      return Step::kContinue;
    case '\r':
      carriage_return_ = true;
      return Step::kContinue;
    case '\n':
      carriage_return_ = false;
      TIDEMARK_RETURN_IF_ERROR(AddCell());
      return Step::kRowEnd;
    case '"':
      if (state_ == State::kPlain) return Error("a quote inside a cell that is not quoted", here_);
      if (state_ == State::kQuoteInQuoted) cell_ += '"';
      state_ = State::kQuoted;
      return Step::kContinue;
    default:
      if (state_ == State::kQuoteInQuoted) return Error("text after the closing quote", here_);
      state_ = State::kPlain;
      cell_ += c;
      return Step::kContinue;
  }
}

Status CsvReader::EndOfInput() {
  if (state_ == State::kQuoted) {
    return Error("the quoted cell that begins here has no closing quote", cell_begin_);
  }
  if (carriage_return_) return Error("a carriage return without a line feed", here_);
  return AddCell();
}

Status CsvReader::AddCell() {
  if (row_.size() >= kCsvColumnsMax) {
    return Error("more than " + std::to_string(kCsvColumnsMax) + " columns", here_);
  }
  row_.push_back(std::move(cell_));
  cell_positions_.push_back(cell_begin_);
  cell_.clear();
  state_ = State::kCellStart;
  cell_begin_ = {.line = here_.line, .column = here_.column + 1};
  return {};
}

Result<int> CsvReader::NextByte() {
  while (position_ == buffer_.size()) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) return -1;
  }
  return static_cast<unsigned char>(buffer_[position_++]);
}

Result<bool> CsvReader::Fill() {
  const bool first = bytes_read_ == 0;
  buffer_.resize(kChunkBytes);
  size_t size = 0;
  do {  // at the beginning, until a byte order mark is whole
    const Result<size_t> count = source_.Read(std::span<char>(buffer_).subspan(size));
    if (!count.ok()) return count.status();
    if (*count == 0) break;
    size += *count;
  } while (first && size < kByteOrderMark.size());
  buffer_.resize(size);
  bytes_read_ += size;
  position_ = first && buffer_.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  return size > 0;
}

Status CsvReader::Error(std::string message, TextPosition place) const {
  return AtPosition(Status(ErrorCode::kInvalidArgument, std::move(message)), name(), place);
}

}  // namespace tidemark::tools
