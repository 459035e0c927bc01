package callback

// Subscribe is a follow. EventKey is "qrscene_" and the scene when the fan came through
// a parametric QR code, whose image Ticket stands for.
type Subscribe struct{ EventKey, Ticket string }

// Unsubscribe is an unfollow. The platform's rules tell us to delete the fan's data.
type Unsubscribe struct{ EventKey string }

// Scan is the scan of a parametric QR code by somebody who is a fan already.
type Scan struct{ EventKey, Ticket string }

// Position is the LOCATION event: where the fan is on opening the chat.
type Position struct {
	Latitude, Longitude float64 // degrees
	Precision           float64 // metres
}

// Click is a tap on a menu item of type click.
type Click struct{ EventKey string }

// View is the payload of view and view_miniprogram: a tap that opens a page. MenuID
// names the personalised menu, "" without one.
type View struct{ EventKey, MenuID string }

// ScanCode is the payload of scancode_push and scancode_waitmsg.
type ScanCode struct{ EventKey, ScanType, ScanResult string }

// SendPics is the payload of pic_sysphoto, pic_photo_or_album and pic_weixin. The
// pictures themselves follow as messages.
type SendPics struct {
	EventKey string
	Count    int
	MD5s     []string
}

// LocationSelect is a place chosen through the menu; it also follows as a message.
type LocationSelect struct {
	EventKey            string
	Latitude, Longitude float64 // degrees
	Scale               int
	Label, PoiName      string
}

// KfSession is the payload of kf_create_session and kf_close_session (Account) and of
// kf_switch_session (FromAccount, ToAccount).
type KfSession struct{ Account, FromAccount, ToAccount string }

// WeComBell is kf_msg_or_event: something happened in a customer-service account of WeCom. What, has to be read with the
// token, which is good for ten minutes; see wechat.WeComPage (platform.md 10.4).
type WeComBell struct{ Token, Desk string }

// TempSession is user_enter_tempsession, known from mini-programs.
type TempSession struct{ SessionFrom string }

// Authorization is the payload of user_info_modified, user_authorization_revoke and
// user_authorization_cancellation: the fan changed or withdrew consent to their data.
// OpenID is the fan the event is about; FromUser may be another id.
type Authorization struct{ OpenID, UnionID, AppID, RevokeInfo string }

func keyAndTicket(n *node) (string, string) { return n.str("EventKey"), n.str("Ticket") }

// eventDecoder returns the reader of an event, nil for an unknown name.
func eventDecoder(name string) decoder {
	if d := actDecoder(name); d != nil {
		return d
	}
	return reportDecoder(name)
}

func actDecoder(name string) decoder {
	switch name {
	case "subscribe":
		return func(n *node, _ *fields) any { k, t := keyAndTicket(n); return Subscribe{k, t} }
	case "unsubscribe":
		return func(n *node, _ *fields) any { return Unsubscribe{n.str("EventKey")} }
	case "scan":
		return func(n *node, _ *fields) any { k, t := keyAndTicket(n); return Scan{k, t} }
	case "location":
		return func(n *node, f *fields) any {
			return Position{f.float(n, "Latitude"), f.float(n, "Longitude"), f.float(n, "Precision")}
		}
	case "click":
		return func(n *node, _ *fields) any { return Click{n.str("EventKey")} }
	case "view", "view_miniprogram":
		return func(n *node, _ *fields) any { return View{n.str("EventKey"), n.str("MenuId")} }
	case "scancode_push", "scancode_waitmsg":
		return decodeScanCode
	case "pic_sysphoto", "pic_photo_or_album", "pic_weixin":
		return decodeSendPics
	case "location_select":
		return decodeLocationSelect
	case "kf_create_session", "kf_close_session", "kf_switch_session":
		return func(n *node, _ *fields) any {
			return KfSession{n.str("KfAccount"), n.str("FromKfAccount"), n.str("ToKfAccount")}
		}
	case "user_enter_tempsession":
		return func(n *node, _ *fields) any { return TempSession{n.str("SessionFrom")} }
	case "kf_msg_or_event":
		return func(n *node, _ *fields) any { return WeComBell{n.str("Token"), n.str("OpenKfId")} }
	case "user_info_modified", "user_authorization_revoke", "user_authorization_cancellation":
		return func(n *node, _ *fields) any {
			return Authorization{n.str("OpenID"), n.str("UnionID"), n.str("AppID"), n.str("RevokeInfo")}
		}
	}
	return nil
}

func decodeScanCode(n *node, _ *fields) any {
	info := n.child("ScanCodeInfo")
	return ScanCode{n.str("EventKey"), info.str("ScanType"), info.str("ScanResult")}
}

func decodeSendPics(n *node, f *fields) any {
	info := n.child("SendPicsInfo")
	p := SendPics{EventKey: n.str("EventKey"), Count: f.int(info, "Count")}
	for _, item := range info.items("PicList") {
		p.MD5s = append(p.MD5s, item.str("PicMd5Sum"))
	}
	return p
}

func decodeLocationSelect(n *node, f *fields) any {
	info := n.child("SendLocationInfo")
	return LocationSelect{
		EventKey: n.str("EventKey"),
		Latitude: f.float(info, "Location_X"), Longitude: f.float(info, "Location_Y"),
		Scale: f.int(info, "Scale"), Label: info.str("Label"), PoiName: info.str("Poiname"),
	}
}

func (s Subscribe) nodes() []node {
	return append(optional("EventKey", s.EventKey), optional("Ticket", s.Ticket)...)
}

func (u Unsubscribe) nodes() []node { return []node{text("EventKey", u.EventKey)} }

func (s Scan) nodes() []node { return []node{text("EventKey", s.EventKey), text("Ticket", s.Ticket)} }

func (p Position) nodes() []node {
	return []node{
		decimal("Latitude", p.Latitude), decimal("Longitude", p.Longitude), decimal("Precision", p.Precision),
	}
}

func (c Click) nodes() []node { return []node{text("EventKey", c.EventKey)} }

func (v View) nodes() []node {
	return append([]node{text("EventKey", v.EventKey)}, optional("MenuId", v.MenuID)...)
}

func (s ScanCode) nodes() []node {
	return []node{text("EventKey", s.EventKey),
		group("ScanCodeInfo", text("ScanType", s.ScanType), text("ScanResult", s.ScanResult))}
}

func (s SendPics) nodes() []node {
	list := group("PicList")
	for _, sum := range s.MD5s {
		list.add(group("item", text("PicMd5Sum", sum)))
	}
	return []node{text("EventKey", s.EventKey), group("SendPicsInfo", number("Count", int64(s.Count)), list)}
}

func (l LocationSelect) nodes() []node {
	return []node{text("EventKey", l.EventKey), group("SendLocationInfo",
		decimal("Location_X", l.Latitude), decimal("Location_Y", l.Longitude),
		number("Scale", int64(l.Scale)), text("Label", l.Label), text("Poiname", l.PoiName))}
}

func (k KfSession) nodes() []node {
	out := optional("KfAccount", k.Account)
	out = append(out, optional("FromKfAccount", k.FromAccount)...)
	return append(out, optional("ToKfAccount", k.ToAccount)...)
}

func (b WeComBell) nodes() []node {
	return []node{text("Token", b.Token), text("OpenKfId", b.Desk)}
}

func (t TempSession) nodes() []node { return []node{text("SessionFrom", t.SessionFrom)} }

func (a Authorization) nodes() []node {
	out := append([]node{text("OpenID", a.OpenID)}, optional("UnionID", a.UnionID)...)
	out = append(out, text("AppID", a.AppID))
	return append(out, optional("RevokeInfo", a.RevokeInfo)...)
}
