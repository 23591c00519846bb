/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/parse.h"

#include "base/caps.h"
#include "base/file.h"
#include "base/nearest.h"
#include "cli/secret.h"
#include "daemon/dvarad_check.h"

#include <stdarg.h>
#include <unistd.h>

enum { FLAG_MAX = 128 };

typedef struct parser {
    int argc;
    char **argv;
    int at; /* the next word */
    dv_cli_line *line;
    dv_error *error;
    size_t positional; /* how many arguments were read */
    bool only_args;    /* after "--" */
    const char *body_file;
} parser;

static dv_result wrong(parser *parse, const char *format, ...) dv_printf(2, 3);

static dv_result wrong(parser *parse, const char *format, ...)
{
    char message[DV_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return dv_error_set(parse->error, DV_ERR_INVALID, "%s", message);
}

/* --- nouns and verbs ------------------------------------------------------------------------ */

static const char *noun_name(const void *data, size_t index)
{
    return dv_cli_nouns[index].name;
}

static dv_result take_noun(parser *parse, const char *word)
{
    for (size_t i = 0; i < dv_cli_noun_count; i++) {
        if (strcmp(dv_cli_nouns[i].name, word) == 0) {
            parse->line->noun = &dv_cli_nouns[i];
        }
    }
    if (parse->line->noun == NULL) {
        const char *near = dv_nearest(word, dv_cli_noun_count, noun_name, NULL);
        return near != NULL
                   ? wrong(parse, "there is no command \"%s\"; did you mean \"%s\"?", word, near)
                   : wrong(parse, "there is no command \"%s\"; see dvara --help", word);
    }
    for (size_t i = 0; i < dv_cli_command_count; i++) {
        if (strcmp(dv_cli_commands[i].noun, word) == 0 && dv_cli_commands[i].verb[0] == '\0') {
            parse->line->command = &dv_cli_commands[i];
        }
    }
    return DV_OK;
}

/* The verbs of a noun, for suggestions: the i-th command, or "" when it is another noun's. */
static const char *verb_name(const void *data, size_t index)
{
    const dv_cli_command *command = &dv_cli_commands[index];
    return strcmp(command->noun, data) == 0 ? command->verb : "";
}

/* Whether the verb is the words, or, for the first of two words, begins with it. */
static bool verb_fits(const char *verb, const char *words, bool begins)
{
    size_t len = strlen(words);
    return strncmp(verb, words, len) == 0 && verb[len] == (begins ? ' ' : '\0');
}

/* The noun's first command whose verb fits, or NULL. */
static const dv_cli_command *find_verb(const char *noun, const char *words, bool begins)
{
    for (size_t i = 0; i < dv_cli_command_count; i++) {
        const dv_cli_command *command = &dv_cli_commands[i];
        if (strcmp(command->noun, noun) == 0 && verb_fits(command->verb, words, begins)) {
            return command;
        }
    }
    return NULL;
}

static dv_result take_verb(parser *parse, const char *word)
{
    char words[FLAG_MAX];
    const char *noun = parse->line->noun->name;
    const char *head = parse->line->head;
    snprintf(words, sizeof(words), "%s%s%s", head == NULL ? "" : head, head == NULL ? "" : " ",
             word);
    parse->line->command = find_verb(noun, words, false);
    if (parse->line->command != NULL) {
        return DV_OK;
    }
    if (head == NULL && find_verb(noun, words, true) != NULL) {
        parse->line->head = word;
        return DV_OK;
    }
    const char *near = dv_nearest(words, dv_cli_command_count, verb_name, noun);
    if (near != NULL && near[0] != '\0') {
        return wrong(parse, "%s has no verb \"%s\"; did you mean \"dvara %s %s\"?", noun, words,
                     noun, near);
    }
    return wrong(parse, "%s has no verb \"%s\"; see dvara %s --help", noun, words, noun);
}

/* --- values --------------------------------------------------------------------------------- */

/* Parameters and the body's fields go to different places. */
static json_t *place_of(dv_cli_line *line, const dv_cli_input *input)
{
    json_t **place = input->place == DV_INPUT_BODY ? &line->body : &line->params;
    if (*place == NULL) {
        *place = json_object();
    }
    return *place;
}

static dv_result read_json(const char *text, json_t **ret_value, dv_error *error)
{
    json_error_t detail;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &detail);
    if (value == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "is not JSON: %s", detail.text);
    }
    *ret_value = value;
    return DV_OK;
}

static bool is_json_typed(const dv_schema *schema)
{
    return (schema->types & DV_SCHEMA_OBJECT) != 0 ||
           ((schema->types & DV_SCHEMA_ARRAY) != 0 &&
            (schema->items->types & (DV_SCHEMA_OBJECT | DV_SCHEMA_ARRAY)) != 0);
}

/* Adds a value; a list that is repeated grows, everything else stands once. Takes the reference. */
static dv_result add_value(parser *parse, const dv_cli_input *input, json_t *value)
{
    json_t *place = place_of(parse->line, input);
    json_t *before = json_object_get(place, input->field);
    if (before == NULL) {
        return json_object_set_new(place, input->field, value) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
    }
    bool lists = json_is_array(before) && json_is_array(value);
    bool failed = lists && json_array_extend(before, value) != 0;
    json_decref(value);
    if (!lists) {
        return wrong(parse, "--%s is given twice", input->flag);
    }
    return failed ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result add_text(parser *parse, const dv_cli_input *input, const char *text)
{
    json_t *value = NULL;
    dv_error detail = {0};
    dv_result result = is_json_typed(input->schema)
                           ? read_json(text, &value, &detail)
                           : dv_check_read(input->schema, dv_slice_str(text), &value, &detail);
    if (result == DV_ERR_INVALID) {
        return wrong(parse, "--%s %s", input->flag, detail.message);
    }
    DV_TRY(result);
    return add_value(parse, input, value);
}

/* An argument. A list's is one of it as it stands: names of files may hold commas. */
static dv_result add_argument(parser *parse, const dv_cli_input *input, const char *text)
{
    json_t *value = NULL, *list = NULL;
    dv_error detail = {0};
    if ((input->schema->types & DV_SCHEMA_ARRAY) == 0 || is_json_typed(input->schema)) {
        return add_text(parse, input, text);
    }
    dv_result result = dv_check_read(input->schema->items, dv_slice_str(text), &value, &detail);
    if (result == DV_ERR_INVALID) {
        return wrong(parse, "%s %s", input->flag, detail.message);
    }
    DV_TRY(result);
    list = json_array();
    if (json_array_append_new(list, value) != 0) { /* takes the reference, also without a list */
        json_decref(list);
        return DV_ERR_NO_MEMORY;
    }
    return add_value(parse, input, list);
}

static dv_result add_secret(parser *parse, const dv_cli_input *input, const char *path)
{
    dv_auto(secret_buf) dv_buf secret = dv_buf_init(DV_SECRET_MAX);
    DV_TRY(path != NULL ? dv_secret_read(path, &secret, parse->error)
                        : dv_secret_ask(input->flag, &secret, parse->error));
    json_t *value = json_stringn((const char *)secret.ptr, secret.len);
    if (value == NULL) {
        return wrong(parse, "--%s-file must hold UTF-8 text", input->flag);
    }
    return add_value(parse, input, value);
}

/* --- flags ---------------------------------------------------------------------------------- */

/* The flag's value: behind '=' or the next word. */
static dv_result take_value(parser *parse, const char *flag, const char *inlined,
                            const char **ret_value)
{
    if (inlined == NULL && parse->at >= parse->argc) {
        return wrong(parse, "--%s needs a value", flag);
    }
    *ret_value = inlined != NULL ? inlined : parse->argv[parse->at++];
    return DV_OK;
}

static dv_result take_output(parser *parse, const char *value)
{
    static const char *const names[] = {[DV_OUTPUT_TABLE] = "table",
                                        [DV_OUTPUT_JSON] = "json",
                                        [DV_OUTPUT_JSONL] = "jsonl",
                                        [DV_OUTPUT_YAML] = "yaml",
                                        [DV_OUTPUT_CSV] = "csv"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_str(dv_slice_str(value), names[i])) {
            parse->line->globals.output = (dv_output)i;
            parse->line->globals.output_said = true;
            return DV_OK;
        }
    }
    return wrong(parse, "--output must be table, json, jsonl, yaml or csv");
}

/* Whether the command has a flag of that name itself, as those whose output is a file. */
static bool is_own(const dv_cli_command *command, const char *flag)
{
    for (size_t i = 0; command != NULL && i < command->input_count; i++) {
        if (strcmp(command->inputs[i].flag, flag) == 0) {
            return true;
        }
    }
    return false;
}

/* Flags of every command. *ret_known: it was one of them. */
static dv_result take_global(parser *parse, const char *flag, const char *inlined, bool *ret_known)
{
    dv_cli_globals *globals = &parse->line->globals;
    const char *value = NULL;
    *ret_known = true;
    if (strcmp(flag, "help") == 0) {
        globals->help = true;
        return DV_OK;
    }
    if (strcmp(flag, "output") == 0 && !is_own(parse->line->command, flag)) {
        DV_TRY(take_value(parse, flag, inlined, &value));
        return take_output(parse, value);
    }
    if (strcmp(flag, "state") == 0) {
        return take_value(parse, flag, inlined, &globals->state);
    }
    if (strcmp(flag, "url") == 0) {
        return take_value(parse, flag, inlined, &globals->url);
    }
    const dv_cli_command *command = parse->line->command;
    if (strcmp(flag, "follow") == 0 && command != NULL && command->follow) {
        parse->line->follow = true;
        return DV_OK;
    }
    if (strcmp(flag, "body") == 0 && command != NULL && command->operation != NULL &&
        command->operation->body != NULL) {
        return take_value(parse, flag, inlined, &parse->body_file);
    }
    *ret_known = false;
    return DV_OK;
}

/* What a flag may be called: those of every command, then the command's own. */
static const char *const global_names[] = {"output", "state", "url", "help"};

static const char *flag_name(const void *data, size_t index)
{
    const dv_cli_command *command = data;
    size_t globals = DV_ARRAY_LEN(global_names);
    return index < globals ? global_names[index] : command->inputs[index - globals].flag;
}

static dv_result unknown_flag(parser *parse, const char *flag)
{
    const dv_cli_command *command = parse->line->command;
    size_t own = command != NULL ? command->input_count : 0;
    const char *near = dv_nearest(flag, DV_ARRAY_LEN(global_names) + own, flag_name, command);
    if (near != NULL) {
        return wrong(parse, "--%s is unknown; did you mean --%s?", flag, near);
    }
    return wrong(parse, "--%s is unknown", flag);
}

/* A flag of the command itself. */
static dv_result take_own(parser *parse, const char *flag, const char *inlined)
{
    const dv_cli_command *command = parse->line->command;
    const char *value = NULL;
    for (size_t i = 0; command != NULL && i < command->input_count; i++) {
        const dv_cli_input *input = &command->inputs[i];
        size_t len = strlen(input->flag);
        bool same = strcmp(flag, input->flag) == 0;
        bool negated = strncmp(flag, "no-", 3) == 0 && strcmp(flag + 3, input->flag) == 0;
        if (input->schema->secret) {
            if (strncmp(flag, input->flag, len) == 0 && strcmp(flag + len, "-file") == 0) {
                DV_TRY(take_value(parse, flag, inlined, &value));
                return add_secret(parse, input, value);
            }
        } else if ((input->schema->types & DV_SCHEMA_BOOLEAN) != 0 && (same || negated)) {
            return inlined != NULL && same ? add_text(parse, input, inlined)
                                           : add_value(parse, input, json_boolean(same));
        } else if (same) {
            DV_TRY(take_value(parse, flag, inlined, &value));
            return add_text(parse, input, value);
        }
    }
    return unknown_flag(parse, flag);
}

static dv_result take_flag(parser *parse, const char *word)
{
    char flag[FLAG_MAX];
    const char *equals = strchr(word, '=');
    size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    if (len >= sizeof(flag)) {
        return wrong(parse, "a flag is too long");
    }
    memcpy(flag, word, len);
    flag[len] = '\0';
    bool known;
    DV_TRY(take_global(parse, flag, equals != NULL ? equals + 1 : NULL, &known));
    return known ? DV_OK : take_own(parse, flag, equals != NULL ? equals + 1 : NULL);
}

static dv_result take_word(parser *parse, const char *word)
{
    dv_cli_line *line = parse->line;
    if (line->noun == NULL) {
        return take_noun(parse, word);
    }
    if (line->command == NULL) {
        return take_verb(parse, word);
    }
    size_t args = line->command->arg_count;
    const dv_cli_input *last = args > 0 ? &line->command->inputs[args - 1] : NULL;
    if (parse->positional == args) {
        /* The last argument takes all the words that are left, if it is a list. */
        return last != NULL && (last->schema->types & DV_SCHEMA_ARRAY) != 0
                   ? add_argument(parse, last, word)
                   : wrong(parse, "\"%s\" is one argument too many", word);
    }
    return add_argument(parse, &line->command->inputs[parse->positional++], word);
}

/* --- the whole line ------------------------------------------------------------------------- */

static dv_result read_body_file(parser *parse)
{
    if (parse->body_file == NULL) {
        return DV_OK;
    }
    if (parse->line->body != NULL) {
        return wrong(parse, "--body is the whole request: leave the other flags out");
    }
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DV_LIMIT_CONTROL_BODY);
    json_error_t detail;
    if (strcmp(parse->body_file, "-") == 0) {
        parse->line->body = json_loadf(stdin, JSON_REJECT_DUPLICATES, &detail);
    } else {
        DV_TRY(dv_file_read(parse->body_file, &text, parse->error));
        parse->line->body =
            json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &detail);
    }
    if (parse->line->body == NULL) {
        return wrong(parse, "--body %s, line %d: %s", parse->body_file, detail.line, detail.text);
    }
    return DV_OK;
}

static dv_result check_required(parser *parse)
{
    const dv_cli_command *command = parse->line->command;
    for (size_t i = 0; i < command->input_count; i++) {
        const dv_cli_input *input = &command->inputs[i];
        bool from_file = input->place == DV_INPUT_BODY && parse->body_file != NULL;
        const json_t *place =
            input->place == DV_INPUT_BODY ? parse->line->body : parse->line->params;
        if (!input->required || from_file || json_object_get(place, input->field) != NULL) {
            continue;
        }
        if (input->schema->secret) {
            DV_TRY(add_secret(parse, input, NULL));
        } else if (i < command->arg_count) {
            return wrong(parse, "the argument %s is missing", input->flag);
        } else {
            return wrong(parse, "--%s is missing", input->flag);
        }
    }
    return DV_OK;
}

/* What a server would check for operations is checked here for commands of our own. */
static dv_result check_own(parser *parse)
{
    const dv_cli_command *command = parse->line->command;
    char field[DV_FIELD_MAX];
    if (command->run == NULL) {
        return DV_OK;
    }
    for (size_t i = 0; i < command->input_count; i++) {
        const dv_cli_input *input = &command->inputs[i];
        json_t *place = place_of(parse->line, input);
        json_t *value = json_object_get(place, input->field);
        if (value == NULL && input->schema->default_json != NULL) {
            json_object_set_new(place, input->field,
                                json_loads(input->schema->default_json, JSON_DECODE_ANY, NULL));
        } else if (value != NULL) {
            snprintf(field, sizeof(field), "%s", input->flag);
            DV_TRY(dv_check_value(input->schema, value, field, parse->error));
        }
    }
    return DV_OK;
}

/* What is done to files and processes of this machine is not done elsewhere for saying so. */
static dv_result check_place(parser *parse)
{
    const dv_cli_command *command = parse->line->command;
    if (parse->line->globals.url == NULL || command->remote) {
        return DV_OK;
    }
    return wrong(parse,
                 "dvara %s%s%s works on this machine alone: leave out --url, and run it where the "
                 "state is (--state DIR)",
                 command->noun, command->verb[0] != '\0' ? " " : "", command->verb);
}

/* Commands whose body has no required field still send one. */
static dv_result complete(parser *parse)
{
    dv_cli_line *line = parse->line;
    if (line->globals.help || line->command == NULL) {
        return DV_OK;
    }
    DV_TRY(check_place(parse));
    DV_TRY(read_body_file(parse));
    DV_TRY(check_required(parse));
    DV_TRY(check_own(parse));
    const dv_operation *operation = line->command->operation;
    if (line->params == NULL) {
        line->params = json_object();
    }
    if (operation != NULL && operation->body != NULL && line->body == NULL) {
        line->body = json_object();
    }
    return DV_OK;
}

dv_result dv_cli_parse(int argc, char **argv, dv_cli_line *line, dv_error *error)
{
    parser parse = {.argc = argc, .argv = argv, .at = 1, .line = line, .error = error};
    while (parse.at < argc) {
        const char *word = argv[parse.at++];
        if (!parse.only_args && strcmp(word, "--") == 0) {
            parse.only_args = true;
        } else if (!parse.only_args && strcmp(word, "-h") == 0) {
            line->globals.help = true;
        } else if (!parse.only_args && strncmp(word, "--", 2) == 0) {
            DV_TRY(take_flag(&parse, word + 2));
        } else if (!parse.only_args && word[0] == '-' && word[1] != '\0') {
            return wrong(&parse, "%s is unknown: flags begin with --", word);
        } else {
            DV_TRY(take_word(&parse, word));
        }
    }
    return complete(&parse);
}

void dv_cli_line_release(dv_cli_line *line)
{
    json_decref(line->params);
    json_decref(line->body);
    line->params = NULL;
    line->body = NULL;
}
