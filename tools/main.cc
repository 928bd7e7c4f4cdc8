// The executable `tidemark`.
#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "db/process_memory.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/signals.h"
#include "tools/sink.h"
#include "tools/units.h"

namespace {

using tidemark::tools::FileSink;

// Columns of the terminal behind `file`; 0 when it is none.
size_t TerminalWidth(int file) {
  if (isatty(file) == 0) return 0;
  winsize size{};
  if (ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const auto width = tidemark::tools::ParseUnsigned(columns == nullptr ? "" : columns);
  return width.value_or(80);
}

}  // namespace

int main(int argument_count, char** arguments) {
  tidemark::ReturnLargeBuffers();
  // Only for the width of characters; the program speaks one language.
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
  tidemark::tools::InstallSignalHandlers();
  FileSink out(STDOUT_FILENO, "standard output");
  FileSink errors(STDERR_FILENO, "standard error");
  try {
    return tidemark::tools::RunCommandLine(
        tidemark::tools::AllCommands(),
        argument_count,
        arguments,
        {.output_width = TerminalWidth(STDOUT_FILENO), .error_width = TerminalWidth(STDERR_FILENO)},
        out,
        errors);
  } catch (const std::exception& failure) {
    errors.Write(std::string("tidemark: internal: ") + failure.what() +
                 "\n  Please report it with the command that was run.\n");
    return 1;
  }
}
