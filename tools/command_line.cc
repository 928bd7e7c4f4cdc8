#include "tools/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cassert>
#include <charconv>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "db/store.h"
#include "format/batch.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

constexpr std::string_view kDescription =
    "Tidemark: embedded storage with a change log and exact sync for every device.";
constexpr std::string_view kFooter =
    "tidemark COMMAND --help shows a command's options and examples. Exit codes: 0 ok, 1 error,\n"
    "2 usage, 3 not found, 4 corrupt or lost data, 5 conflict, 6 network, 7 not allowed, 8 busy.";

// A check that the help does not describe: the name of the type says it already.
CLI::Validator Silent(CLI::Validator check) {
  return check.description("");
}

// What fits 64 bits without a sign.
std::string CheckCount(const std::string& text) {
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && stop == text.data() + text.size()) return {};
  return text + " is no whole number from 0 to 18446744073709551615";
}

// Declares options on one CLI11 command.
class CliArguments final : public Arguments {
 public:
  explicit CliArguments(CLI::App& app) : app_(app) {}

  void Text(const std::string& names, std::string& target, const std::string& help) override {
    app_.add_option(names, target, help);
  }
  void Text(const std::string& names,
            std::optional<std::string>& target,
            const std::string& help) override {
    app_.add_option(names, target, help);
  }
  void RequiredText(const std::string& names,
                    std::string& target,
                    const std::string& help) override {
    app_.add_option(names, target, help)->required();
  }
  void List(const std::string& names,
            std::vector<std::string>& target,
            const std::string& help) override {
    app_.add_option(names, target, help)->delimiter(',');
  }
  void Texts(const std::string& names,
             std::vector<std::string>& target,
             const std::string& help) override {
    app_.add_option(names, target, help)->allow_extra_args(false);
  }
  void Unsigned(const std::string& names,
                std::optional<uint64_t>& target,
                const std::string& help) override {
    app_.add_option(names, target, help)->check(CLI::Validator(CheckCount, ""))->type_name("N");
  }
  void Signed(const std::string& names,
              std::optional<int64_t>& target,
              const std::string& help) override {
    app_.add_option(names, target, help)->type_name("N");
  }
  void Share(const std::string& names,
             std::optional<double>& target,
             const std::string& help) override {
    app_.add_option(names, target, help)->check(Silent(CLI::Range(0.0, 1.0)))->type_name("SHARE");
  }
  void Flag(const std::string& names, bool& target, const std::string& help) override {
    app_.add_flag(names, target, help);
  }
  void Choice(const std::string& names,
              std::string& target,
              const std::vector<std::string>& choices,
              const std::string& help) override {
    app_.add_option(names, target, help)
        ->check(Silent(CLI::IsMember(choices)))
        ->type_name(fmt::format("{}", fmt::join(choices, "|")));
  }

 private:
  CLI::App& app_;
};

template <typename Value>
CLI::Option* AddNamedValue(CLI::App& app,
                           const std::string& name,
                           Value& target,
                           const std::map<std::string, Value>& values,
                           const std::string& help) {
  std::vector<std::string> names;
  names.reserve(values.size());
  for (const auto& [text, value] : values) names.push_back(text);
  return app
      .add_option_function<std::string>(
          name, [&target, values](const std::string& text) { target = values.at(text); }, help)
      ->check(Silent(CLI::IsMember(names)))
      ->type_name(fmt::format("{}", fmt::join(names, "|")));
}

class Program {
 public:
  Program(const CommandTable& table, Sink& out) : out_(out) {
    app_.name("tidemark");
    app_.footer(std::string(kFooter));
    app_.fallthrough();
    app_.require_subcommand(0, 1);
    AddGlobalOptions();
    for (const Command& command : table.commands()) AddCommand(table, command);
  }

  // The command to run; null when help or the version was all that was asked for.
  const Command* Parse(int argument_count, const char* const* arguments) {
    app_.parse(argument_count, arguments);
    if (version_) {
      PrintVersion();
      return nullptr;
    }
    for (const auto& [app, command] : commands_) {
      if (app->parsed()) return command;
    }
    const CLI::App* asked = &app_;
    for (const auto& [name, group] : groups_) {
      if (group->parsed()) asked = group;
    }
    throw CLI::RequiredError(asked == &app_ ? "a command" : "a command of " + asked->get_name());
  }

  GlobalOptions& globals() { return globals_; }

  // Help of the command that was named, or of the program.
  std::string Help() const {
    for (const auto& [app, command] : commands_) {
      if (!app->parsed()) continue;
      const size_t space = command->name.find(' ');
      const bool grouped = space != std::string::npos;
      return app->help(grouped ? "tidemark " + command->name.substr(0, space) : "tidemark");
    }
    for (const auto& [name, group] : groups_) {
      if (group->parsed()) return group->help("tidemark");
    }
    return app_.help();
  }

  // True when an argument that nobody expected stands in the place of a command.
  bool command_missing() const {
    return std::none_of(commands_.begin(), commands_.end(), [](const auto& entry) {
      return entry.first->parsed();
    });
  }

 private:
  void AddGlobalOptions() {
    app_.add_flag("--version", version_, "Print the versions of the program and its formats");
    app_.add_option("--data", globals_.data, "Data root: one folder for each instance below it")
        ->envname("TIDEMARK_DATA")
        ->type_name("DIR");
    app_.add_option("--instance", globals_.instance, "Instance in the data root")
        ->envname("TIDEMARK_INSTANCE")
        ->capture_default_str()
        ->type_name("NAME");
    app_.add_option("--server", globals_.server, "Ask this server instead of opening a data root")
        ->type_name("URL");
    app_.add_option("--token", globals_.token, "Token for the server; see also TIDEMARK_TOKEN");
    app_.add_option("--token-file", globals_.token_file, "File that holds the token");
    app_.add_option(
        "--ca", globals_.certificate_authority, "PEM file of who vouches for the server");
    AddNamedValue<std::optional<OutputFormat>>(app_,
                                               "--output,-o",
                                               globals_.output,
                                               {{"table", OutputFormat::kTable},
                                                {"json", OutputFormat::kJson},
                                                {"ndjson", OutputFormat::kNdjson}},
                                               "How results are printed");
    AddNamedValue<ProgressMode>(app_,
                                "--progress",
                                globals_.progress,
                                {{"auto", ProgressMode::kAuto},
                                 {"plain", ProgressMode::kPlain},
                                 {"json", ProgressMode::kJson},
                                 {"none", ProgressMode::kNone}},
                                "How progress is shown on standard error");
  }

  void AddCommand(const CommandTable& table, const Command& command) {
    const size_t space = command.name.find(' ');
    const bool grouped = space != std::string::npos;
    CLI::App& parent = grouped ? Group(table, command.name.substr(0, space)) : app_;
    const std::string leaf = grouped ? command.name.substr(space + 1) : command.name;
    CLI::App* app = parent.add_subcommand(leaf, command.summary);
    app->footer("Examples:\n" + command.examples + "\nOptions of every command: tidemark --help");
    CliArguments arguments(*app);
    command.declare(arguments);
    commands_.emplace_back(app, &command);
  }

  // Groups stand in the help where their first command does.
  CLI::App& Group(const CommandTable& table, const std::string& name) {
    CLI::App*& group = groups_[name];
    if (group != nullptr) return *group;
    for (const auto& [known, summary] : table.groups()) {
      if (known == name) group = app_.add_subcommand(name, summary);
    }
    assert(group != nullptr && "each group has a row of the table");
    group->require_subcommand(0, 1);
    return *group;
  }

  void PrintVersion() {
    Output output(out_, globals_.output, 0);
    const std::string batch = fmt::format("{}.{}", kBatchFormatMajor, kBatchFormatMinor);
    if (output.format() == OutputFormat::kTable) {
      output.Line(fmt::format("tidemark {}", TIDEMARK_VERSION));
      output.Line(fmt::format("storage format {}", kStorageFormat));
      output.Line(fmt::format("batch format {}", batch));
      return;
    }
    output.Object({{"version", TIDEMARK_VERSION},
                   {"storage_format", kStorageFormat},
                   {"batch_format", batch}});
  }

  Sink& out_;
  CLI::App app_{std::string(kDescription)};
  GlobalOptions globals_;
  bool version_ = false;
  std::map<std::string, CLI::App*> groups_;
  std::vector<std::pair<CLI::App*, const Command*>> commands_;
};

// --output as far as the arguments were understood: usage errors respect it, too.
OutputFormat ErrorFormat(const GlobalOptions& globals) {
  return globals.output.value_or(OutputFormat::kTable);
}

int ReportUsage(const std::string& message, const GlobalOptions& globals, Sink& errors) {
  if (ErrorFormat(globals) == OutputFormat::kTable) {
    errors.Write(
        fmt::format("tidemark: usage: {}\n  Run tidemark --help, or with a command and --help.\n",
                    PrintableText(message)));
  } else {
    JsonWriter writer;
    writer.BeginObject().Key("error").BeginObject();
    writer.Key("code").String("usage");
    writer.Key("message").String(PrintableText(message));
    writer.Key("advice").String("Run tidemark --help, or with a command and --help.");
    writer.Key("exit_code").Integer(kExitUsage);
    writer.EndObject().EndObject();
    errors.Write(writer.Take() + "\n");
  }
  return kExitUsage;
}

int ReportStatus(const Status& status, const GlobalOptions& globals, Sink& errors) {
  if (status.ok()) return 0;
  if (Interrupted()) {
    errors.Write("tidemark: interrupted\n");
    return kExitInterrupted;
  }
  errors.Write(FormatError(status, ErrorFormat(globals)));
  return GetErrorInfo(status.code()).exit_code;
}

int RunCommand(const Command& command,
               const GlobalOptions& globals,
               const Terminal& terminal,
               Sink& out,
               Sink& errors) {
  Output output(out, globals.output, terminal.output_width);
  Progress progress(errors, globals.progress, terminal.error_width);
  Context context{.globals = globals, .output = output, .progress = progress, .errors = errors};
  Status status =
      globals.server.empty() || command.over_http
          ? command.run(context)
          : Status(ErrorCode::kInvalidArgument,
                   command.name + " needs the folder itself: give --data, not --server");
  progress.End();
  out.Flush();
  // A reader that has seen enough is no failure; a full disk is.
  const bool reader_left = out.status().code() == ErrorCode::kClosed;
  if (reader_left) {
    if (status.code() == ErrorCode::kClosed) status = {};
  } else if (status.ok()) {
    status = out.status();
  }
  return ReportStatus(status, globals, errors);
}

}  // namespace

int RunCommandLine(const CommandTable& table,
                   int argument_count,
                   const char* const* arguments,
                   const Terminal& terminal,
                   Sink& out,
                   Sink& errors) {
  Program program(table, out);
  try {
    const Command* command = program.Parse(argument_count, arguments);
    if (command == nullptr) return 0;
    return RunCommand(*command, program.globals(), terminal, out, errors);
  } catch (const CLI::CallForHelp&) {
    out.Write(program.Help());
    return 0;
  } catch (const CLI::ExtrasError& error) {
    const std::string hint = program.command_missing() ? " (no such command)" : "";
    return ReportUsage(error.what() + hint, program.globals(), errors);
  } catch (const CLI::ParseError& error) {
    return ReportUsage(error.what(), program.globals(), errors);
  }
}

}  // namespace tidemark::tools
