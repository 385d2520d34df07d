package handlers

// TakeSlots takes all slots of large bodies until free is called.
func (s *Server) TakeSlots() (free func()) {
	for range cap(s.slots) {
		s.slots <- struct{}{}
	}
	return func() {
		for range cap(s.slots) {
			<-s.slots
		}
	}
}
