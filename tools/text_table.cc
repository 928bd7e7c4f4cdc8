#include "tools/text_table.h"

#include <algorithm>
#include <cstdint>
#include <cwchar>
#include <numeric>

namespace tidemark::tools {
namespace {

constexpr size_t kHeldRowsMax = 500;
constexpr size_t kColumnWidthMin = 8;
constexpr std::string_view kGap = "  ";
constexpr std::string_view kEllipsis = "\u2026";

struct Glyph {
  size_t bytes = 1;
  size_t width = 1;
  uint32_t code = 0;  // 0xFFFD for bytes that are not UTF-8
};

// Bytes of the sequence that `lead` begins; 0 when it begins none.
size_t SequenceBytes(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

Glyph FirstGlyph(std::string_view text) {
  constexpr uint32_t kReplacement = 0xFFFD;
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t bytes = SequenceBytes(lead);
  if (bytes == 1) return {.bytes = 1, .width = 1, .code = lead};
  if (bytes == 0 || bytes > text.size()) return {.bytes = 1, .width = 1, .code = kReplacement};
  uint32_t code = lead & (0x7FU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xC0U) != 0x80U) return {.bytes = 1, .width = 1, .code = kReplacement};
    code = (code << 6U) | (byte & 0x3FU);
  }
  const int width = wcwidth(static_cast<wchar_t>(code));
  return {.bytes = bytes, .width = width < 0 ? 1 : static_cast<size_t>(width), .code = code};
}

bool IsControl(uint32_t code) {
  const bool direction_override = code >= 0x202A && code <= 0x202E;
  const bool isolate = code >= 0x2066 && code <= 0x2069;
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || direction_override || isolate ||
         code == 0xFFFD;
}

std::string Pad(std::string text, size_t width, bool right) {
  const size_t own = DisplayWidth(text);
  if (own >= width) return text;
  const std::string space(width - own, ' ');
  return right ? space + text : text + space;
}

std::string Heading(std::string_view name) {
  std::string heading(name);
  for (char& c : heading) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c == '_') c = ' ';
  }
  return heading;
}

// Takes columns from the widest until the line fits; a column keeps what makes it readable.
void Shrink(std::vector<size_t>& widths, size_t width_max) {
  const size_t gaps = kGap.size() * (widths.size() - 1);
  size_t total = std::accumulate(widths.begin(), widths.end(), gaps);
  while (total > width_max) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kColumnWidthMin) return;
    --*widest;
    --total;
  }
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Glyph glyph = FirstGlyph(text);
    width += glyph.width;
    text.remove_prefix(glyph.bytes);
  }
  return width;
}

std::string FitText(std::string_view text, size_t width) {
  // Text is never wider than its bytes are many.
  if (text.size() <= width || DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return {};
  size_t used = 0;
  size_t kept = 0;
  while (kept < text.size()) {
    const Glyph glyph = FirstGlyph(text.substr(kept));
    if (used + glyph.width > width - 1) break;
    used += glyph.width;
    kept += glyph.bytes;
  }
  return std::string(text.substr(0, kept)).append(kEllipsis);
}

std::string PrintableText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Glyph glyph = FirstGlyph(text);
    if (IsControl(glyph.code)) {
      out += glyph.code == '\n' ? "\\n" : glyph.code == '\t' ? "\\t" : "?";
    } else {
      out += text.substr(0, glyph.bytes);
    }
    text.remove_prefix(glyph.bytes);
  }
  return out;
}

TextTable::TextTable(std::vector<std::string> columns, size_t width_max)
    : columns_(std::move(columns)), width_max_(width_max) {}

std::string TextTable::Add(std::vector<TextCell> row) {
  for (TextCell& cell : row) cell.text = PrintableText(cell.text);
  if (!widths_.empty()) return Render(row);
  held_.push_back(std::move(row));
  return held_.size() < kHeldRowsMax ? std::string() : Layout();
}

std::string TextTable::Finish() {
  return widths_.empty() && !held_.empty() ? Layout() : std::string();
}

std::string TextTable::Layout() {
  widths_.assign(columns_.size(), 0);
  for (size_t i = 0; i < columns_.size(); ++i) {
    widths_[i] = std::max<size_t>(1, DisplayWidth(columns_[i]));
    for (const auto& row : held_) widths_[i] = std::max(widths_[i], DisplayWidth(row[i].text));
  }
  if (width_max_ > 0) Shrink(widths_, width_max_);

  std::vector<TextCell> heading;
  for (size_t i = 0; i < columns_.size(); ++i) {
    heading.push_back({.text = Heading(columns_[i]), .number = held_.front()[i].number});
  }
  std::string out = Render(heading);
  for (const auto& row : held_) out += Render(row);
  held_.clear();
  return out;
}

std::string TextTable::Render(const std::vector<TextCell>& row) const {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) line += kGap;
    // Without a limit, a late cell wider than the first ones is shown whole.
    std::string text = width_max_ > 0 ? FitText(row[i].text, widths_[i]) : row[i].text;
    line += Pad(std::move(text), widths_[i], row[i].number);
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line + "\n";
}

}  // namespace tidemark::tools
