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

// rotateInterval is how often the files with secrets of sources are read. They are short,
// so they are read each time, however they are replaced.
const rotateInterval = 2 * time.Second

// watchSecrets applies changes of the files with secrets of sources, until Stop. Secrets of
// targets are read for each call.
func (b *Bridge) watchSecrets(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b.later(func(context.Context) error {
		cancel()
		return nil
	})
	b.loops.Go(func() {
		ticker := time.NewTicker(rotateInterval)
		defer ticker.Stop()
		faults := map[string]string{} // that are logged already, by source
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

// rotate reads the secrets in files again. A source whose secrets cannot be read keeps the
// old ones; that is logged once.
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
			b.log.LogAttrs(ctx, slog.LevelError, "secrets cannot be read, the old ones stay in use",
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

// inFiles reports whether a secret of a source is in a file.
func inFiles(s *mapping.Source) bool {
	file := func(ref mapping.SecretRef) bool { return ref.File != "" }
	return slices.ContainsFunc(s.Secrets, file) || slices.ContainsFunc(s.SigningTokens, file) ||
		slices.ContainsFunc(s.Basic, func(basic mapping.BasicRef) bool { return file(basic.Password) })
}
