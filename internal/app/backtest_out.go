package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/foreshock/foreshock/internal/backtest"
)

// outputs are the files that a backtest writes. They are made beside their
// place before anything runs, so that a path that cannot be written is told at once, and
// renamed when they are whole: an earlier report is never half overwritten. What is
// no regular file (a pipe, /dev/stdout) is written in place.
type outputs struct{ files []*output }

type output struct {
	flag, path string
	file       *os.File
	place      bool // file is the path itself
	write      func(io.Writer, *backtest.Report) error
}

func (b *backtester) outputs() (*outputs, error) {
	out := &outputs{}
	for _, f := range []*output{
		{flag: "--pages", path: b.o.Pages, write: func(w io.Writer, r *backtest.Report) error { return backtest.WriteLines(w, r.All()) }},
		{flag: "--report", path: b.o.Report, write: func(w io.Writer, r *backtest.Report) error { return r.WriteJSON(w) }},
		{flag: "--html", path: b.o.HTML, write: backtest.WriteHTML},
	} {
		if f.path == "" || f.path == "-" {
			continue
		}
		if err := f.open(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s %s: %w", f.flag, f.path, reason(err)), out.drop())
		}
		out.files = append(out.files, f)
	}
	return out, nil
}

// open makes the file that is written. A link is followed.
func (x *output) open() (err error) {
	if real, err := filepath.EvalSymlinks(x.path); err == nil {
		x.path = real
	}
	switch info, err := os.Stat(x.path); {
	case err == nil && info.IsDir():
		return errors.New("it is a directory: want a file")
	case err == nil && !info.Mode().IsRegular():
		x.place = true
		x.file, err = os.OpenFile(x.path, os.O_WRONLY, 0)
		return err
	}
	x.file, err = os.CreateTemp(filepath.Dir(x.path), "."+filepath.Base(x.path)+"-*")
	return err
}

// write writes all files, and the text. With the lines on Stdout the text goes
// to where progress goes, so that the lines can be piped.
func (f *outputs) write(r *backtest.Report, o BacktestOptions) error {
	text := o.Stdout
	var errs []error
	if o.Pages == "-" {
		text = o.Out
		errs = append(errs, backtest.WriteLines(o.Stdout, r.All()))
	}
	errs = append(errs, r.WriteText(text, backtest.TextOptions{Sent: !o.Summary && o.Pages != "-"}))
	for _, x := range f.files {
		if err := x.finish(r); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", x.flag, x.path, err))
		}
	}
	f.files = nil
	return errors.Join(errs...)
}

func (x *output) finish(r *backtest.Report) error {
	w := bufio.NewWriter(x.file)
	err := x.write(w, r)
	if err == nil {
		err = w.Flush()
	}
	if x.place {
		return errors.Join(err, x.file.Close())
	}
	if err == nil {
		err = x.file.Chmod(0o644)
	}
	err = errors.Join(err, x.file.Close())
	if err == nil {
		err = os.Rename(x.file.Name(), x.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(x.file.Name()))
	}
	return nil
}

// drop removes files that were not written.
func (f *outputs) drop() error {
	var errs []error
	for _, x := range f.files {
		errs = append(errs, x.file.Close())
		if !x.place {
			errs = append(errs, os.Remove(x.file.Name()))
		}
	}
	f.files = nil
	return errors.Join(errs...)
}
