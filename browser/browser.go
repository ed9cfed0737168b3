// Package browser opens pages in a real Chromium, for tests of package report. It is a module
// of its own, so that no other module depends on the driver of Chromium.
package browser

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// ErrNoChromium says that the machine has no Chromium.
var ErrNoChromium = errors.New("no Chromium on this machine; on Debian: apt-get install chromium")

// path returns the path of the Chromium binary.
func path() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoChromium
}

// Start starts Chromium; stop ends it.
func Start(ctx context.Context) (browser context.Context, stop func(), err error) {
	at, err := path()
	if err != nil {
		return nil, nil, err
	}
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(at), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true),
	})
	allocator, free := chromedp.NewExecAllocator(ctx, options...)
	browser, end := chromedp.NewContext(allocator)
	stop = func() { end(); free() }
	if err := chromedp.Do(browser); err != nil {
		stop()
		return nil, nil, err
	}
	return browser, stop, nil
}

// Screen is the size of a window, in CSS pixels, and its colour scheme.
type Screen struct {
	Width, Height int64
	Dark          bool
}

// Tab is an open page.
type Tab struct {
	ctx   context.Context
	close context.CancelFunc

	mu         sync.Mutex // complaints come from the browser
	complaints []string
}

// Open opens a page on a screen.
func Open(browser context.Context, s Screen, url string) (*Tab, error) {
	t := new(Tab)
	t.ctx, t.close = chromedp.NewContext(browser)
	messages := chromedp.Console(t.ctx)
	go t.listen(messages)
	scheme := "light"
	if s.Dark {
		scheme = "dark"
	}
	if err := chromedp.Do(t.ctx, chromedp.EmulateViewport(s.Width, s.Height)); err != nil {
		return nil, err
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		return nil, err
	}
	if _, err := chromedp.Call(t.ctx, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
		return nil, err
	}
	return t, chromedp.Do(t.ctx, chromedp.Navigate(url))
}

// listen keeps the errors and warnings of the page.
func (t *Tab) listen(messages func(func(chromedp.ConsoleMessage, error) bool)) {
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.IsException() || m.Type == "error" || m.Type == "warning" {
			t.mu.Lock()
			t.complaints = append(t.complaints, m.String())
			t.mu.Unlock()
		}
	}
}

// Complaints returns the errors and warnings of the page's console, and its uncaught
// exceptions.
func (t *Tab) Complaints() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.complaints)
}

// Close closes the page.
func (t *Tab) Close() { t.close() }

// Do does actions on the page.
func (t *Tab) Do(actions ...chromedp.Action[chromedp.Void]) error {
	return chromedp.Do(t.ctx, actions...)
}

// Wait waits until an expression of the page is true.
func (t *Tab) Wait(expression string, patience time.Duration) error {
	_, err := chromedp.Run(t.ctx, chromedp.Poll[any](expression, chromedp.WithPollingTimeout(patience)))
	return err
}

// Screenshot returns the whole page as a PNG.
func (t *Tab) Screenshot() ([]byte, error) { return chromedp.Run(t.ctx, chromedp.FullScreenshot(100)) }

// Work is the CPU time that the page's thread has taken so far.
func (t *Tab) Work() (time.Duration, error) {
	m, err := chromedp.Call(t.ctx, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		return 0, err
	}
	for _, metric := range m.Metrics {
		if metric.Name == "TaskDuration" {
			return time.Duration(metric.Value * float64(time.Second)), nil
		}
	}
	return 0, errors.New("Chromium tells no TaskDuration")
}

// Ask returns the value of an expression of the page, awaited if it is a promise.
func Ask[T any](t *Tab, expression string) (T, error) {
	return chromedp.Run(t.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}
