//go:build browser

package web

import (
	"flag"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/foreshock/foreshock/internal/peers"
)

var screenshots = flag.String("screenshots", "", "folder to write screenshots of the pages to")

// layout is what a page looks like to the browser.
type layout struct {
	Overflow     int      // pixels by which the content is wider than the window
	Images       int      // all pictures
	Broken       []string // pictures that did not load
	Headline     float64  // height of the headline in pixels
	HeadlineEnds float64  // how far down it ends
	Small        []string // links in the navigation that are too small for a finger
	Dark         bool
}

const measure = `(async () => {
  const images = [...document.images];
  images.forEach(i => { i.loading = 'eager' });
  await Promise.all(images.map(i => i.complete ? 1 : new Promise(r => { i.onload = i.onerror = r })));
  const h = document.querySelector('h1').getBoundingClientRect();
  return {
    Overflow: Math.max(0, document.documentElement.scrollWidth - innerWidth),
    Images: images.length,
    Broken: images.filter(i => !(i.naturalWidth > 0)).map(i => i.currentSrc),
    Headline: h.height, HeadlineEnds: h.bottom,
    Small: [...document.querySelectorAll('nav a, .button, summary')].filter(a => a.getBoundingClientRect().height < 44).map(a => a.textContent.trim()),
    Dark: matchMedia('(prefers-color-scheme: dark)').matches,
  };
})()`

func TestBrowser(t *testing.T) {
	plain := httptest.NewServer(serve(t))
	defer plain.Close()
	shadow := httptest.NewServer(serve(t, inShadow, hostileOptions))
	defer shadow.Close()
	calm := httptest.NewServer(serve(t, quiet))
	defer calm.Close()

	pages := []struct{ name, url string }{
		{"incident", plain.URL + "/incidents/20260314-021410-7c2f"}, {"incidents", plain.URL + "/"},
		{"resolved", plain.URL + "/incidents/20260312-191410-0b11"},
		{"services", plain.URL + "/services"}, {"rules", plain.URL + "/rules"}, {"targets", plain.URL + "/targets"}, {"status", plain.URL + "/status"},
		{"shadow", shadow.URL + "/"}, {"hostile", shadow.URL + "/incidents/hostile"}, {"calm", calm.URL + "/"},
	}
	for _, scheme := range []struct {
		name string
		dark bool
	}{{"dark", true}, {"light", false}} {
		ctx := peers.Browser(t, scheme.dark)
		peers.WatchConsole(ctx, t)
		for _, size := range []struct {
			name          string
			width, height int64
			mobile        bool
		}{{"phone", 390, 844, true}, {"desktop", 1280, 900, false}} {
			for _, page := range pages {
				t.Run(scheme.name+"/"+size.name+"/"+page.name, func(t *testing.T) {
					var opts []chromedp.EmulateViewportOption
					if size.mobile {
						opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch)
					}
					if err := chromedp.Do(ctx, chromedp.EmulateViewport(size.width, size.height, opts...), chromedp.Navigate(page.url), chromedp.WaitVisible(chromedp.CSS("h1"))); err != nil {
						t.Fatalf("open %s: %v", page.url, err)
					}
					got, err := chromedp.Run(ctx, chromedp.Evaluate[layout](measure, chromedp.EvalAwaitPromise))
					if err != nil {
						t.Fatalf("measure %s: %v", page.url, err)
					}
					checkLayout(t, page.name, got, scheme.dark)
					if *screenshots != "" {
						peers.Screenshot(ctx, t, *screenshots, page.name+"-"+size.name+"-"+scheme.name+".png")
					}
				})
			}
		}
	}
}

func checkLayout(t *testing.T, page string, got layout, dark bool) {
	t.Helper()
	if got.Overflow > 0 {
		t.Errorf("the page is %d pixels wider than the window, want 0", got.Overflow)
	}
	if len(got.Broken) > 0 {
		t.Errorf("pictures that did not load: %q, want none", got.Broken)
	}
	if got.Dark != dark {
		t.Errorf("dark = %v, want %v", got.Dark, dark)
	}
	if got.Headline <= 0 {
		t.Errorf("the headline is %v pixels high, want it to be visible", got.Headline)
	}
	if len(got.Small) > 0 {
		t.Errorf("less than 44 pixels high for a finger: %q, want none", got.Small)
	}
	if page == "incident" {
		if want := 1 + len(openIncident().Anomalies); got.Images != want {
			t.Errorf("%d pictures, want %d: the mark and one plot for each series", got.Images, want)
		}
		if got.HeadlineEnds > 400 {
			t.Errorf("the headline ends %v pixels down, want it in the upper half of a phone", got.HeadlineEnds)
		}
	}
}
