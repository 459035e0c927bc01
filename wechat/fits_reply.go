package wechat

// FitsReply reports whether the message can be the passive reply to a push: of a kind that such a reply can have, and without what only customer-service messages
// can say (platform.md 3.3).
func (m Message) FitsReply() bool {
	if m.KfAccount != "" || m.IsAI || m.BusinessID != 0 {
		return false
	}
	switch m.Kind {
	case KindText:
		return m.Text != nil
	case KindImage:
		return m.Image != nil
	case KindVoice:
		return m.Voice != nil
	case KindVideo:
		return m.Video != nil
	case KindMusic:
		return m.Music != nil
	case KindNews:
		return m.News != nil
	default:
		return false
	}
}
