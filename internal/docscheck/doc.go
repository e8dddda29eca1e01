// Package docscheck holds no code, only the tests that keep README.md, docs/
// and the examples' README.md true: every example is read by the parser of its
// kind, every command is tried, every link followed, and flags, fields,
// detectors, metrics and paths are the same in the pages and in the program.
//
// What a writer of pages has to know:
//
//   - A yaml block is recognised by its keys, as a whole file or as a part of
//     one. Files that it names are written as blocks of the same page, named by
//     a line before the block, <!-- file: rules.yml -->, or by its first line,
//     # rules.yml. A block that is named like a file of the tree equals it.
//   - In a console block lines with "$ " are commands and the others what they
//     print; … stands for any text, alone on a line for any lines. In sh, bash
//     and indented blocks the lines that begin with a known program are commands.
//   - Commands that end by themselves are run in a copy of examples/ with the
//     page's files beside it, if the files that they name are there. Of the
//     others, and of those that leave words to the reader (DIR, [flags], $TOKEN), the
//     command's and the flags' names are checked.
package docscheck
