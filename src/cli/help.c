/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <ctype.h>

enum { LEFT = 30, NAME_MAX_SHOWN = 128 };

static bool belongs(const dv_cli_command *command, const dv_cli_noun *noun)
{
    return strcmp(command->noun, noun->name) == 0;
}

static bool is_boolean(const dv_cli_input *input)
{
    return (input->schema->types & DV_SCHEMA_BOOLEAN) != 0;
}

void dv_help_overview(FILE *out)
{
    fputs("Dvara guards AI models.\n\nusage: dvara NOUN [VERB] [ARGUMENT...] [--FLAG...]\n\n", out);
    for (size_t n = 0; n < dv_cli_noun_count; n++) {
        const dv_cli_noun *noun = &dv_cli_nouns[n];
        const char *separator = "";
        fprintf(out, "  %-12s %s\n", noun->name, noun->doc);
        for (size_t c = 0; c < dv_cli_command_count; c++) {
            if (belongs(&dv_cli_commands[c], noun) && dv_cli_commands[c].verb[0] != '\0') {
                fprintf(out, "%s%s", separator[0] == '\0' ? "               " : separator,
                        dv_cli_commands[c].verb);
                separator = ", ";
            }
        }
        fputs(separator[0] != '\0' ? "\n" : "", out);
    }
    fputs("\nEvery command takes --output table|json|jsonl|yaml|csv, --state DIR and --help; those "
          "that\nspeak with a server take --url URL, too (or DVARA_URL)."
          "\nexample: dvara user create --help\n",
          out);
}

/* "review list" begins with "review". */
static bool begins_with(const char *verb, const char *head)
{
    size_t len = head == NULL ? 0 : strlen(head);
    return head == NULL || (strncmp(verb, head, len) == 0 && verb[len] == ' ');
}

void dv_help_noun(FILE *out, const dv_cli_noun *noun, const char *head)
{
    const char *example = NULL;
    fprintf(out, "%s\n\nusage: dvara %s%s%s VERB\n\n", noun->doc, noun->name,
            head == NULL ? "" : " ", head == NULL ? "" : head);
    for (size_t c = 0; c < dv_cli_command_count; c++) {
        if (belongs(&dv_cli_commands[c], noun) && begins_with(dv_cli_commands[c].verb, head)) {
            fprintf(out, "  %-14s %s\n", dv_cli_commands[c].verb, dv_cli_commands[c].summary);
            example = example == NULL ? dv_cli_commands[c].example : example;
        }
    }
    fprintf(out, "\nexample: %.*s\n", example != NULL ? (int)strcspn(example, "\n") : 0,
            example != NULL ? example : "");
}

static void print_upper(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        fputc(toupper((unsigned char)*text), out);
    }
}

static void print_usage(FILE *out, const dv_cli_command *command)
{
    fprintf(out, "usage: dvara %s%s%s", command->noun, command->verb[0] != '\0' ? " " : "",
            command->verb);
    for (size_t i = 0; i < command->arg_count; i++) {
        fputs(command->inputs[i].required ? " " : " [", out);
        print_upper(out, command->inputs[i].flag);
        fputs(command->inputs[i].required ? "" : "]", out);
    }
    fputs(command->input_count > command->arg_count ? " [--FLAG...]\n" : "\n", out);
}

/* The kind of value, as it stands behind the flag. */
static void format_value(const dv_schema *schema, char out[NAME_MAX_SHOWN])
{
    size_t len = 0;
    if (schema->choices != NULL) {
        for (const char *const *choice = schema->choices; *choice != NULL; choice++) {
            int wrote =
                snprintf(out + len, NAME_MAX_SHOWN - len, "%s%s", len > 0 ? "|" : "", *choice);
            len = DV_MIN(len + (size_t)wrote, (size_t)NAME_MAX_SHOWN - 1);
        }
        return;
    }
    const char *kind = (schema->types & (DV_SCHEMA_INTEGER | DV_SCHEMA_NUMBER)) != 0 ? "N"
                       : (schema->types & DV_SCHEMA_ARRAY) != 0                      ? "A,B,..."
                       : (schema->types & DV_SCHEMA_OBJECT) != 0                     ? "JSON"
                                                                                     : "TEXT";
    snprintf(out, NAME_MAX_SHOWN, "%s", kind);
}

static void print_input(FILE *out, const dv_cli_input *input, bool argument)
{
    char left[2 * NAME_MAX_SHOWN], value[NAME_MAX_SHOWN];
    format_value(input->schema, value);
    if (argument) {
        snprintf(left, sizeof(left), "%s", input->flag);
        for (char *letter = left; *letter != '\0'; letter++) {
            *letter = (char)toupper((unsigned char)*letter);
        }
    } else if (input->schema->secret) {
        snprintf(left, sizeof(left), "--%s-file FILE", input->flag);
    } else {
        snprintf(left, sizeof(left), "--%s%s%s", input->flag, is_boolean(input) ? "" : " ",
                 is_boolean(input) ? "" : value);
    }
    fprintf(out, "  %-*s %s%s", LEFT, left, input->doc, input->required ? " Required." : "");
    if (input->schema->default_json != NULL) {
        fprintf(out, " Otherwise %s.", input->schema->default_json);
    }
    fputc('\n', out);
}

/* Those whose output is a file have a flag of that name themselves. */
static bool prints_answers(const dv_cli_command *command)
{
    for (size_t i = 0; i < command->input_count; i++) {
        if (strcmp(command->inputs[i].flag, "output") == 0) {
            return false;
        }
    }
    return true;
}

/* Its lines stand below each other. */
static void print_example(FILE *out, const char *example)
{
    const char *before = "\nexample:";
    while (*example != '\0') {
        int len = (int)strcspn(example, "\n");
        fprintf(out, "%s %.*s\n", before, len, example);
        example += len + (example[len] == '\n');
        before = "        ";
    }
}

void dv_help_command(FILE *out, const dv_cli_command *command)
{
    fprintf(out, "%s\n", command->summary);
    fprintf(out, command->description[0] != '\0' ? "\n%s\n" : "%s", command->description);
    fputc('\n', out);
    print_usage(out, command);
    fputc('\n', out);
    for (size_t i = 0; i < command->input_count; i++) {
        print_input(out, &command->inputs[i], i < command->arg_count);
    }
    if (command->follow) {
        fprintf(out, "  %-*s %s\n", LEFT, "--follow", "Go on printing what is added.");
    }
    if (command->operation != NULL && command->operation->body != NULL) {
        fprintf(out, "  %-*s %s\n", LEFT, "--body FILE",
                "The whole request as JSON instead of flags; -: standard input.");
    }
    if (prints_answers(command)) {
        fprintf(out, "  %-*s %s\n", LEFT, "--output FORMAT", "table, json, jsonl, yaml or csv.");
    }
    fprintf(out, "  %-*s %s\n", LEFT, "--state DIR", "The state of the Dvara to speak with.");
    if (command->remote) {
        fprintf(out, "  %-*s %s\n", LEFT, "--url URL",
                "A Dvara elsewhere; the key is in DVARA_API_KEY.");
    }
    if (command->operation != NULL) {
        fprintf(out, "\npermission: %s\n", command->operation->permission);
    }
    print_example(out, command->example);
}

/* The length of a verb's first word. */
static int head_len(const dv_cli_command *command)
{
    return (int)strcspn(command->verb, " ");
}

static bool has_two_words(const dv_cli_command *command)
{
    return strchr(command->verb, ' ') != NULL;
}

static bool same_head(const dv_cli_command *a, const dv_cli_command *b)
{
    return strcmp(a->noun, b->noun) == 0 && head_len(a) == head_len(b) &&
           strncmp(a->verb, b->verb, (size_t)head_len(a)) == 0;
}

/* Whether the one before it has another first word: commands of one noun stand together. */
static bool begins_head(size_t index)
{
    return index == 0 || !same_head(&dv_cli_commands[index - 1], &dv_cli_commands[index]);
}

/* The words that may stand behind a noun. */
static void print_verbs(FILE *out, const dv_cli_noun *noun)
{
    fprintf(out, "    %s) words=\"", noun->name);
    for (size_t c = 0; c < dv_cli_command_count; c++) {
        if (belongs(&dv_cli_commands[c], noun) && begins_head(c)) {
            fprintf(out, "%.*s ", head_len(&dv_cli_commands[c]), dv_cli_commands[c].verb);
        }
    }
    fputs("\" ;;\n", out);
}

/* The words that may stand behind the first of two. */
static void print_second_words(FILE *out, const dv_cli_command *first)
{
    fprintf(out, "    \"%s %.*s\") words=\"", first->noun, head_len(first), first->verb);
    for (const dv_cli_command *one = first;
         one < dv_cli_commands + dv_cli_command_count && same_head(first, one); one++) {
        fprintf(out, "%s ", one->verb + head_len(one) + 1);
    }
    fputs("\" ;;\n", out);
}

static void print_flags(FILE *out, const dv_cli_command *command)
{
    fprintf(out, "    \"%s%s%s\") words=\"$globals %s", command->noun,
            command->verb[0] != '\0' ? " " : "", command->verb, command->remote ? "--url " : "");
    for (size_t i = command->arg_count; i < command->input_count; i++) {
        fprintf(out, "--%s%s ", command->inputs[i].flag,
                command->inputs[i].schema->secret ? "-file" : "");
    }
    fputs("\" ;;\n", out);
}

void dv_help_bash(FILE *out)
{
    fputs("# bash completion for dvara: source <(dvara completion bash)\n"
          "_dvara() {\n"
          "  local words globals=\"--output --state --help\" cur=${COMP_WORDS[COMP_CWORD]}\n"
          "  if [ \"$COMP_CWORD\" = 1 ]; then\n    words=\"",
          out);
    for (size_t n = 0; n < dv_cli_noun_count; n++) {
        fprintf(out, "%s ", dv_cli_nouns[n].name);
    }
    fputs("\"\n  elif [ \"$COMP_CWORD\" = 2 ] && [[ $cur != -* ]]; then\n"
          "    case ${COMP_WORDS[1]} in\n",
          out);
    for (size_t n = 0; n < dv_cli_noun_count; n++) {
        print_verbs(out, &dv_cli_nouns[n]);
    }
    fputs("    esac\n  else\n    words=$globals\n"
          "    case \"${COMP_WORDS[1]}\" in\n",
          out);
    for (size_t c = 0; c < dv_cli_command_count; c++) {
        if (dv_cli_commands[c].verb[0] == '\0') {
            print_flags(out, &dv_cli_commands[c]);
        }
    }
    fputs("    esac\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n", out);
    for (size_t c = 0; c < dv_cli_command_count; c++) {
        if (has_two_words(&dv_cli_commands[c]) && begins_head(c)) {
            print_second_words(out, &dv_cli_commands[c]);
        } else if (dv_cli_commands[c].verb[0] != '\0' && !has_two_words(&dv_cli_commands[c])) {
            print_flags(out, &dv_cli_commands[c]);
        }
    }
    fputs("    esac\n    if [ \"$COMP_CWORD\" -gt 3 ]; then\n"
          "      case \"${COMP_WORDS[1]} ${COMP_WORDS[2]} ${COMP_WORDS[3]}\" in\n",
          out);
    for (size_t c = 0; c < dv_cli_command_count; c++) {
        if (has_two_words(&dv_cli_commands[c])) {
            print_flags(out, &dv_cli_commands[c]);
        }
    }
    fputs("      esac\n    fi\n  fi\n"
          "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
          "complete -o default -F _dvara dvara\n",
          out);
}
