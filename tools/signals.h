// SIGINT and SIGTERM end long commands at a safe point; a second one ends the process.
#pragma once

#include <chrono>

namespace tidemark::tools {

/// Also makes writing to a closed pipe an error instead of the end of the process.
void InstallSignalHandlers();
bool Interrupted();
/// Sleeps, or returns early when interrupted.
void InterruptibleSleep(std::chrono::milliseconds duration);

}  // namespace tidemark::tools
