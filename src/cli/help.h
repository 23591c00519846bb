/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/command.h"

/* What `dvara`, `dvara NOUN --help` and `dvara NOUN VERB --help` print. */
void dv_help_overview(FILE *out);
/* head: of its verbs only those of two words that begin so; NULL: all. */
void dv_help_noun(FILE *out, const dv_cli_noun *noun, const char *head);
void dv_help_command(FILE *out, const dv_cli_command *command);

/* The bash completion script. */
void dv_help_bash(FILE *out);
