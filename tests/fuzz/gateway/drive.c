/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the target: by libFuzzer, or over the files of a corpus. */
int gate_run(int argc, char **argv);

#ifdef DV_LIBFUZZER
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*run)(const uint8_t *data, size_t size));

int gate_run(int argc, char **argv)
{
    return LLVMFuzzerRunDriver(&argc, &argv, LLVMFuzzerTestOneInput);
}
#else
#define main replay
/* NOLINTNEXTLINE(bugprone-suspicious-include): its main is called from here */
#include "fuzz/replay.c"
#undef main

int gate_run(int argc, char **argv)
{
    return replay(argc, argv);
}
#endif
