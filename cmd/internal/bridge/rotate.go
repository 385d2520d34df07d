package bridge

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"buildbridge/mapping"
)

// rotateInterval is how often the files that hold secrets of sources are read.
// They are read rather than looked at: they are short, and how they are replaced
// (written, renamed, mounted anew, behind a symlink) does not matter then.
const rotateInterval = 2 * time.Second

// watchSecrets takes up secrets of sources that change in their files, until
// Stop. Those of targets are read for each call.
func (b *Bridge) watchSecrets(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b.later(func(context.Context) error {
		cancel()
		return nil
	})
	b.loops.Go(func() {
		ticker := time.NewTicker(rotateInterval)
		defer ticker.Stop()
		faults := map[string]string{} // of sources, as they were told
		for {
			select {
			case <-ticker.C:
				b.rotate(ctx, faults)
			case <-ctx.Done():
				return
			}
		}
	})
}

// rotate reads the secrets in files anew. A source whose secrets cannot be read
// keeps those it has; that is told once.
func (b *Bridge) rotate(ctx context.Context, faults map[string]string) {
	b.reload.Lock()
	defer b.reload.Unlock()
	sources := maps.Clone(b.serving.sources)
	var changed []string
	for _, s := range b.serving.rules.Sources() {
		if !inFiles(s) {
			continue
		}
		source, err := b.o.Source(s)
		switch {
		case err != nil && faults[s.Name] != err.Error():
			faults[s.Name] = err.Error()
			b.log.LogAttrs(ctx, slog.LevelError, "secrets cannot be read, the old ones serve on",
				slog.String("source", s.Name), slog.String("error", err.Error()))
		case err == nil:
			delete(faults, s.Name)
			if !reflect.DeepEqual(source.Keys, sources[s.Name].Keys) {
				sources[s.Name] = source
				warn(ctx, b.log, "source", s.Name, source.Doubts)
				changed = append(changed, s.Name)
			}
		}
	}
	if len(changed) == 0 {
		return
	}
	b.serving.sources = sources
	b.handlers.Rotate(sources)
	b.log.LogAttrs(ctx, slog.LevelInfo, "secrets changed", slog.Any("sources", changed))
}

// inFiles tells whether a secret of a source is in a file.
func inFiles(s *mapping.Source) bool {
	file := func(ref mapping.SecretRef) bool { return ref.File != "" }
	return slices.ContainsFunc(s.Secrets, file) || slices.ContainsFunc(s.SigningTokens, file) ||
		slices.ContainsFunc(s.Basic, func(basic mapping.BasicRef) bool { return file(basic.Password) })
}
