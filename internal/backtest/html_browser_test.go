//go:build browser

package backtest

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/foreshock/foreshock/internal/peers"
)

var screenshots = flag.String("screenshots", "", "folder to write screenshots of the report to")

// htmlLayout is what the report looks like to the browser.
type htmlLayout struct {
	Overflow int      // pixels by which the content is wider than the window
	Wide     []string // elements that stick out of the window without a box that scrolls
	Plots    int      // plots with a size
	Flat     []string // pictures without a size, once all is open
	Loaded   int      // things that were loaded besides the page
	Dark     bool
	Same     bool // the plots' lines have the colour of the background
}

const htmlMeasure = `(() => {
  document.querySelectorAll('details').forEach((d, i) => { d.open = i < OPEN });
  const box = e => e.getBoundingClientRect();
  const boxed = e => e.closest('.scroll') || e.closest('svg');
  const svgs = [...document.querySelectorAll('svg')].filter(s => !s.closest('details:not([open])'));
  const line = document.querySelector('figure svg path[style*="plot-value"]');
  return {
    Overflow: Math.max(0, document.documentElement.scrollWidth - innerWidth),
    Wide: [...document.querySelectorAll('body *')].filter(e => !boxed(e) && box(e).width > 0 && box(e).right > innerWidth + 0.5).map(e => e.tagName + '.' + e.className),
    Plots: [...document.querySelectorAll('details[open] figure svg')].filter(s => box(s).width > 200 && box(s).height > 90).length,
    Flat: svgs.filter(s => !(box(s).width > 20 && box(s).height > 5)).map(s => s.parentElement.className),
    Loaded: performance.getEntriesByType('resource').length,
    Dark: matchMedia('(prefers-color-scheme: dark)').matches,
    Same: !!line && getComputedStyle(line).stroke === getComputedStyle(document.body).backgroundColor,
  };
})()`

func TestBrowserHTML(t *testing.T) {
	long := htmlReport()
	for i := range long.Cases[0].Sent {
		long.Cases[0].Sent[i].Summary = fmt.Sprintf("%0300d", i)
	}
	long.Cases[0].Name, long.Config, long.Rules[0].Name, long.Services[0].Service = fmt.Sprintf("%0200d", 1), fmt.Sprintf("%0200d", 2), fmt.Sprintf("%0200d", 3), fmt.Sprintf("%0200d", 4)
	ungraded := htmlReport()
	ungraded.Grades, ungraded.Comparison, ungraded.Cases = nil, nil, ungraded.Cases[:1]
	pages := []struct {
		name   string
		report *Report
	}{{"report", htmlReport()}, {"ungraded", ungraded}, {"long", long}, {"huge", hugeReport()}, {"empty", &Report{}}}
	mux := http.NewServeMux()
	for _, p := range pages {
		body := htmlOf(t, p.report)
		mux.HandleFunc("/"+p.name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(body)) // a browser that leaves early is no failure
		})
	}
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, scheme := range []struct {
		name string
		dark bool
	}{{"light", false}, {"dark", true}} {
		ctx := peers.Browser(t, scheme.dark)
		peers.WatchConsole(ctx, t)
		for _, width := range []int64{360, 1280} {
			for _, page := range pages {
				t.Run(fmt.Sprintf("%s/%d/%s", scheme.name, width, page.name), func(t *testing.T) {
					checkHTMLLayout(ctx, t, server.URL+"/"+page.name, page.name, width, scheme.dark)
					if *screenshots != "" && page.name != "huge" { // that is too long for a picture
						peers.Screenshot(ctx, t, *screenshots, fmt.Sprintf("%s-%d-%s.png", page.name, width, scheme.name))
					}
				})
			}
		}
	}
}

func checkHTMLLayout(ctx context.Context, t *testing.T, url, name string, width int64, dark bool) {
	t.Helper()
	var opts []chromedp.EmulateViewportOption
	if width < 500 {
		opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900, opts...), chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("h1"))); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	got, err := chromedp.Run(ctx, chromedp.Evaluate[htmlLayout](htmlMeasureOpen(4)))
	if err != nil {
		t.Fatalf("measure %s: %v", url, err)
	}
	if got.Overflow > 0 || len(got.Wide) > 0 {
		t.Errorf("the page is %d pixels wider than the window, sticking out: %q, want none", got.Overflow, got.Wide[:min(len(got.Wide), 10)])
	}
	if len(got.Flat) > 0 {
		t.Errorf("pictures without a size in %q, want none", got.Flat[:min(len(got.Flat), 10)])
	}
	if name != "empty" && got.Plots < 2*htmlPlots {
		t.Errorf("%d plots to see, want %d at least", got.Plots, 2*htmlPlots)
	}
	if got.Loaded > 0 || got.Dark != dark || got.Same {
		t.Errorf("loaded %d, dark %v, lines in the colour of the background %v; want 0, %v, false", got.Loaded, got.Dark, got.Same, dark)
	}
}

// htmlMeasureOpen measures with the first lines open.
func htmlMeasureOpen(n int) string { return fmt.Sprintf("(OPEN => %s)(%d)", htmlMeasure, n) }
