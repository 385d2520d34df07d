package handlers

// TakeTurns takes all turns of large bodies until end is called.
func (s *Server) TakeTurns() (end func()) {
	for range cap(s.large) {
		s.large <- struct{}{}
	}
	return func() {
		for range cap(s.large) {
			<-s.large
		}
	}
}
