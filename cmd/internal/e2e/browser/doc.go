// Package browser opens the pages in a real browser. It contains only tests.
//
// [TestPages] starts the program with simulators of CodeArts Build and of a code host, and sends what comes
// on a day. Chromium then opens the pages as people do: with the mouse, with the keyboard, in a narrow
// window, without JavaScript. Whatever a page does that it should not is a fault of the test that opened it:
// an error on the console, a violation of the Content-Security-Policy, a dialog, a request to any other host.
// axe-core looks for what people with a disability would stumble over.
//
// make browser installs axe-core and runs it. Chromium is that of the distribution. make pictures takes the
// pictures of the documentation.
package browser
