// From arguments to an exit code.
#pragma once

#include "tools/command.h"
#include "tools/sink.h"

namespace tidemark::tools {

inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;  ///< as a shell reports SIGINT

struct Terminal {
  size_t output_width = 0;  ///< 0: standard output is no terminal
  size_t error_width = 0;
};

/// Parses the arguments, runs the command of `table` that they name, and answers its exit code.
/// Results go to `out`, everything else to `errors`.
int RunCommandLine(const CommandTable& table,
                   int argument_count,
                   const char* const* arguments,
                   const Terminal& terminal,
                   Sink& out,
                   Sink& errors);

}  // namespace tidemark::tools
