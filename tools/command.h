// What a command is: a row of one table from which parsing, help and documentation come. The
// command line library stays behind command_line.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/sink.h"

namespace tidemark::tools {

/// Declares the arguments of one command. A name is `value` for a positional argument, `--value`
/// for an option, or both separated by a comma. Targets must outlive parsing.
class Arguments {
 public:
  virtual ~Arguments() = default;
  virtual void Text(const std::string& names, std::string& target, const std::string& help) = 0;
  virtual void Text(const std::string& names,
                    std::optional<std::string>& target,
                    const std::string& help) = 0;
  /// Must be given.
  virtual void RequiredText(const std::string& names,
                            std::string& target,
                            const std::string& help) = 0;
  /// May be given several times, or with commas between the items.
  virtual void List(const std::string& names,
                    std::vector<std::string>& target,
                    const std::string& help) = 0;
  /// May be given several times; commas are part of an item.
  virtual void Texts(const std::string& names,
                     std::vector<std::string>& target,
                     const std::string& help) = 0;
  virtual void Unsigned(const std::string& names,
                        std::optional<uint64_t>& target,
                        const std::string& help) = 0;
  virtual void Signed(const std::string& names,
                      std::optional<int64_t>& target,
                      const std::string& help) = 0;
  /// A number from 0 to 1.
  virtual void Share(const std::string& names,
                     std::optional<double>& target,
                     const std::string& help) = 0;
  virtual void Flag(const std::string& names, bool& target, const std::string& help) = 0;
  virtual void Choice(const std::string& names,
                      std::string& target,
                      const std::vector<std::string>& choices,
                      const std::string& help) = 0;
};

/// Options that every command takes.
struct GlobalOptions {
  std::string data;  ///< data root; empty when not given
  std::string instance = "default";
  std::string server;  ///< URL of a server to ask instead; empty when not given
  std::string token;
  std::string token_file;
  std::string certificate_authority;
  std::optional<OutputFormat> output;
  ProgressMode progress = ProgressMode::kAuto;
};

/// What a command works with.
struct Context {
  const GlobalOptions& globals;
  Output& output;
  Progress& progress;
  Sink& errors;

  /// Says something on standard error that is no failure.
  void Warn(std::string_view message) {
    progress.Hide();
    errors.Write(FormatWarning(message, output.format()));
    errors.Flush();
  }
};

struct Command {
  std::string name;        ///< "put", "uploads list"
  std::string summary;     ///< one sentence without a full stop
  std::string examples;    ///< lines that can be typed
  bool over_http = false;  ///< takes --server, too
  std::function<void(Arguments&)> declare;
  std::function<Status(Context&)> run;
};

struct CommandHelp {
  std::string name;
  std::string summary;
  std::string examples;
  bool over_http = false;
};

/// The table of commands.
class CommandTable {
 public:
  /// Adds a command whose options are an `Options`: `declare` binds its members, `run` gets it.
  template <typename Options>
  void Add(const CommandHelp& help,
           void (*declare)(Arguments&, Options&),
           Status (*run)(Context&, const Options&)) {
    auto options = std::make_shared<Options>();
    commands_.push_back(
        {.name = help.name,
         .summary = help.summary,
         .examples = help.examples,
         .over_http = help.over_http,
         .declare = [options, declare](Arguments& arguments) { declare(arguments, *options); },
         .run =
             [options, run](Context& context) {
               return run(context, *options);
             }});
  }

  /// Adds what `uploads`, for example, is about.
  void AddGroup(std::string name, std::string summary) {
    groups_.emplace_back(std::move(name), std::move(summary));
  }

  const std::vector<Command>& commands() const { return commands_; }
  const std::vector<std::pair<std::string, std::string>>& groups() const { return groups_; }

 private:
  std::vector<Command> commands_;
  std::vector<std::pair<std::string, std::string>> groups_;
};

/// Options of commands that have none.
struct NoOptions {};
inline void DeclareNothing(Arguments& /*arguments*/, NoOptions& /*options*/) {}

// Each group of commands adds itself; one function a source file.
void AddRecordCommands(CommandTable& table);
void AddScanCommand(CommandTable& table);
void AddImportCommand(CommandTable& table);
void AddExportCommand(CommandTable& table);
void AddApplyCommand(CommandTable& table);
void AddUploadCommands(CommandTable& table);
void AddEntityCommands(CommandTable& table);
void AddLogCommands(CommandTable& table);
void AddDeviceCommands(CommandTable& table);
void AddReplicaCommands(CommandTable& table);
void AddOutboxCommands(CommandTable& table);
void AddBundleCommands(CommandTable& table);
void AddQueueCommands(CommandTable& table);
void AddSyncStatusCommands(CommandTable& table);
void AddIdPoolCommands(CommandTable& table);
void AddWhyCommand(CommandTable& table);
void AddBackupCommands(CommandTable& table);
void AddIntegrityCommands(CommandTable& table);
void AddDoctorCommand(CommandTable& table);
void AddServeCommands(CommandTable& table);
void AddTokenCommands(CommandTable& table);

/// All of them, in the order of the help.
CommandTable AllCommands();

}  // namespace tidemark::tools
