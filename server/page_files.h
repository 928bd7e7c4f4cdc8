// The files of the page for people, as they stand in server/page/.
#pragma once

#include <string_view>

namespace tidemark::server::page {

extern const std::string_view kHtml;
extern const std::string_view kCss;
extern const std::string_view kJs;

}  // namespace tidemark::server::page
