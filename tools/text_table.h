// Text for people: tables that fit the terminal. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark::tools {

/// One cell of a text table.
struct TextCell {
  std::string text;
  bool number = false;  ///< numbers stand on the right
};

/// Columns that a terminal shows for UTF-8 text; what is not UTF-8 counts one a byte.
size_t DisplayWidth(std::string_view text);

/// `text` cut to at most `width` columns, with an ellipsis where something is missing.
std::string FitText(std::string_view text, size_t width);

/// `text` with control characters made visible, so that data cannot drive the terminal.
std::string PrintableText(std::string_view text);

/// Renders rows as aligned columns under a header. The first rows decide the widths and are held
/// back until then, so memory stays bounded however many rows follow.
class TextTable {
 public:
  /// `width_max` 0 means that lines may have any width.
  TextTable(std::vector<std::string> columns, size_t width_max);

  /// Returns the text that is ready to be printed, often none. Requires one cell a column.
  std::string Add(std::vector<TextCell> row);
  /// The rest. Nothing at all when there was no row.
  std::string Finish();

 private:
  std::string Layout();
  std::string Render(const std::vector<TextCell>& row) const;

  std::vector<std::string> columns_;
  size_t width_max_;
  std::vector<std::vector<TextCell>> held_;
  std::vector<size_t> widths_;  // empty until the layout is decided
};

}  // namespace tidemark::tools
