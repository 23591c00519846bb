/* SPDX-License-Identifier: Apache-2.0 */
/* dvara: the command line. Nearly all of it is the generated table; see api/README.md. */
#include "cli/run.h"

#include <locale.h>

int main(int argc, char **argv)
{
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) { /* for the width of characters only */
        setlocale(LC_CTYPE, "");
    }
    return dv_cli_main(argc, argv, stdout, stderr);
}
