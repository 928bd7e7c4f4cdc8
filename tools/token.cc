// token: who may come in.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "db/runtime.h"
#include "server/data_root.h"
#include "server/token_file.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/grants.h"

namespace tidemark::tools {
namespace {

struct TokenCreateOptions {
  std::string role = "reader";
  std::string device;
  std::vector<std::string> entities;
  std::vector<std::string> where;
};

void DeclareCreate(Arguments& arguments, TokenCreateOptions& options) {
  arguments.Choice("--role", options.role, {"reader", "writer", "admin"}, "What it may do");
  arguments.Text("--device", options.device, "The only device that it may act for");
  arguments.List("--entity",
                 options.entities,
                 "What devices see by it at most; without this and --where what they are granted");
  arguments.Texts("--where",
                  options.where,
                  "The same by values of a declared key, as "
                  "ENTITY:FIELD=VALUE[,VALUE...][;FIELD=...]; give it several times");
}

Status RequireRoot(const Context& context) {
  if (!context.globals.data.empty()) return {};
  return {ErrorCode::kInvalidArgument, "no data root: give --data DIR, or set TIDEMARK_DATA"};
}

/// The instance of a token exists from then on. Beside a running server it may be open already;
/// else it says whether it can tell the records of the selection.
Status MakeInstance(Context& context, const std::optional<SelectionRule>& selection) {
  const auto store = OpenInstance(context.globals, Access::kCreate);
  if (store.status().code() == ErrorCode::kBusy) return {};
  TIDEMARK_RETURN_IF_ERROR(store.status());
  return selection ? CheckSelectionRule(**store, *selection) : Status();
}

/// nullopt: devices see by it what they are granted.
Result<std::optional<SelectionRule>> ReadSelection(const TokenCreateOptions& options) {
  if (options.entities.empty() && options.where.empty()) return std::optional<SelectionRule>();
  SelectionRule rule = SelectionRule::Entities(options.entities);
  for (const std::string& text : options.where) {
    TIDEMARK_ASSIGN_OR_RETURN(Grant grant, ParseGrant(text));
    rule.grants.push_back(std::move(grant));
  }
  // As it will be read from the file: names and sizes are checked.
  TIDEMARK_ASSIGN_OR_RETURN(rule, SelectionRuleFromJson(SelectionRuleToJson(rule)));
  return std::optional(std::move(rule));
}

Cell SelectionCell(const std::optional<SelectionRule>& selection) {
  if (!selection) return Cell::None();
  std::vector<std::string> grants;
  for (const Grant& grant : selection->grants) grants.push_back(DescribeGrant(grant));
  return Cell::List(grants);
}

Status RunCreate(Context& context, const TokenCreateOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(RequireRoot(context));
  TIDEMARK_ASSIGN_OR_RETURN(const auto selection, ReadSelection(options));
  TIDEMARK_RETURN_IF_ERROR(MakeInstance(context, selection));
  const server::TokenGrant grant{
      .instance = context.globals.instance,
      .role = server::RoleFromName(options.role).value_or(server::Role::kReader),
      .device = options.device,
      .selection = selection};
  TIDEMARK_ASSIGN_OR_RETURN(
      const server::NewToken made,
      server::CreateToken(context.globals.data, grant, *SystemRandom(), *SystemClock()));
  if (context.output.format() == OutputFormat::kTable) {
    context.output.Line(made.token);
    return {};
  }
  context.output.Object({{"token", made.token},
                         {"id", made.record.id},
                         {"instance", made.record.instance},
                         {"role", options.role},
                         {"device", options.device.empty() ? Cell::None() : Cell(options.device)},
                         {"selection", SelectionCell(selection)}});
  return {};
}

Status RunList(Context& context, const NoOptions& /*options*/) {
  TIDEMARK_RETURN_IF_ERROR(RequireRoot(context));
  TIDEMARK_ASSIGN_OR_RETURN(const auto file, server::ReadTokenFile(context.globals.data));
  TIDEMARK_ASSIGN_OR_RETURN(const auto use, server::ReadTokenUse(context.globals.data));
  Rows rows(context.output,
            {"id", "instance", "role", "device", "selection", "created", "last_use"});
  for (const server::TokenRecord& token : file.tokens) {
    const auto used = use.find(token.id);
    rows.Add({token.id,
              token.instance,
              server::RoleName(token.role),
              token.device.empty() ? Cell::None() : Cell(token.device),
              SelectionCell(token.selection),
              Cell::Time(token.created_at_ms),
              used == use.end() ? Cell::None() : Cell::Time(used->second)});
  }
  rows.Finish();
  return {};
}

struct TokenRevokeOptions {
  std::string id;
};

void DeclareRevoke(Arguments& arguments, TokenRevokeOptions& options) {
  arguments.RequiredText("id", options.id, "Short id, as token list shows it");
}

Status RunRevoke(Context& context, const TokenRevokeOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(RequireRoot(context));
  TIDEMARK_RETURN_IF_ERROR(server::RevokeToken(context.globals.data, options.id));
  context.output.Object({{"revoked", options.id}});
  return {};
}

}  // namespace

void AddTokenCommands(CommandTable& table) {
  table.AddGroup("token", "Make, list and revoke tokens of the server");
  table.Add<TokenCreateOptions>(
      {"token create",
       "Make a token and print it, once",
       "  tidemark token create --data ./data --instance default --role writer\n"
       "  tidemark token create --data ./data --role reader --device tablet-7\n"
       "  tidemark token create --data ./data --entity contact --where 'visit:owner=17'\n"},
      &DeclareCreate,
      &RunCreate);
  table.Add<NoOptions>(
      {"token list", "List tokens, without their secrets", "  tidemark token list --data ./data\n"},
      &DeclareNothing,
      &RunList);
  table.Add<TokenRevokeOptions>({"token revoke",
                                 "End a token, at once, also for a running server",
                                 "  tidemark token revoke --data ./data 3f9c1a07\n"},
                                &DeclareRevoke,
                                &RunRevoke);
}

}  // namespace tidemark::tools
