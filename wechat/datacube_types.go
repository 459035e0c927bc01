package wechat

import (
	"encoding/json"
	"fmt"
)

// Statistics are the rows of a range of days.
type Statistics[T any] struct {
	Rows    []T
	Delayed bool // some of the figures are not final: ask again later
}

// Hour is an hour of a day in Beijing, 0 to 23. On the wire it is 0, 100 … 2300.
type Hour int

// MarshalJSON implements json.Marshaler.
func (h Hour) MarshalJSON() ([]byte, error) { return json.Marshal(int(h) * 100) }

// UnmarshalJSON implements json.Unmarshaler.
func (h *Hour) UnmarshalJSON(raw []byte) error {
	var wire int
	if err := json.Unmarshal(raw, &wire); err != nil {
		return fmt.Errorf("an hour is a number: %w", err)
	}
	if wire < 0 || wire > 2300 || wire%100 != 0 {
		return fmt.Errorf("an hour is 0, 100 … 2300, not %d", wire)
	}
	*h = Hour(wire / 100)
	return nil
}

// FollowSource is how somebody came to follow. Others than these appear; paid follows count as SourceOther.
type FollowSource int

// The sources of follows.
const (
	SourceOther       FollowSource = 0
	SourceSearch      FollowSource = 1
	SourceCard        FollowSource = 17 // a card that a friend shared
	SourceQRCode      FollowSource = 30
	SourceArticle     FollowSource = 57 // the account's name in an article
	SourceAds         FollowSource = 100
	SourceMiniProgram FollowSource = 149
	SourceReprint     FollowSource = 161
	SourceVideo       FollowSource = 200 // 视频号
	SourceLive        FollowSource = 201
)

// FollowRow counts who began and who ceased to follow on a day.
type FollowRow struct {
	Day      Day          `json:"ref_date"`
	Source   FollowSource `json:"user_source"`
	Followed int          `json:"new_user"`
	Left     int          `json:"cancel_user"`
}

// FanRow is the number of fans at the end of a day.
type FanRow struct {
	Day    Day          `json:"ref_date"`
	Source FollowSource `json:"user_source"` // always 0
	Fans   int          `json:"cumulate_user"`
}

// MessageType is the kind of a fan's message in statistics.
type MessageType int

// The kinds.
const (
	MessageText  MessageType = 1
	MessageImage MessageType = 2
	MessageVoice MessageType = 3
	MessageVideo MessageType = 4
	MessageLink  MessageType = 6 // of an app of somebody else
)

// MessageRow counts messages of fans. Of a week Day is the Monday, of a month the first day.
type MessageRow struct {
	Day      Day         `json:"ref_date"`
	Type     MessageType `json:"msg_type"`
	Writers  int         `json:"msg_user"`
	Messages int         `json:"msg_count"`
}

// MessageHourRow is a MessageRow of an hour.
type MessageHourRow struct {
	MessageRow
	Hour Hour `json:"ref_hour"`
}

// Amount is a range of numbers of messages.
type Amount int

// The amounts.
const (
	AmountNone    Amount = iota
	AmountOneTo5         // 1 to 5
	AmountSixTo10        // 6 to 10
	AmountOver10         // more than 10
)

// AmountOf is the range that n messages fall into.
func AmountOf(n int) Amount {
	switch {
	case n <= 0:
		return AmountNone
	case n <= 5:
		return AmountOneTo5
	case n <= 10:
		return AmountSixTo10
	}
	return AmountOver10
}

// WriterRow counts fans by how much they wrote. Of a week Day is the Monday, of a month the first day.
type WriterRow struct {
	Day     Day    `json:"ref_date"`
	Amount  Amount `json:"count_interval"`
	Writers int    `json:"msg_user"`
}

// CallbackRow tells how the account's callback fared on a day.
type CallbackRow struct {
	Day     Day `json:"ref_date"`
	Pushes  int `json:"callback_count"`
	Failed  int `json:"fail_count"`
	TotalMS int `json:"total_time_cost"` // of all pushes together
	MaxMS   int `json:"max_time_cost"`   // of the slowest
}

// CallbackHourRow is a CallbackRow of an hour.
type CallbackHourRow struct {
	CallbackRow
	Hour Hour `json:"ref_hour"`
}

// SourceReaders counts the readers who came from one place. The platform names it in Chinese; 全部 is all of them.
type SourceReaders struct {
	Readers int    `json:"user_count"`
	Source  string `json:"scene_desc"`
}

// Readers counts who read.
type Readers struct {
	All      int             `json:"read_user"`
	BySource []SourceReaders `json:"read_user_source"`
}

// ReadRow counts who read an article on a day.
type ReadRow struct {
	Day     Day     `json:"ref_date"`
	Article string  `json:"msgid"` // msg_data_id and place in the send: "2247490098_1"
	Detail  Readers `json:"detail"`
}

// Sharers counts who shared.
type Sharers struct {
	All int `json:"share_user"`
}

// ShareRow counts who shared an article on a day.
type ShareRow struct {
	Day     Day     `json:"ref_date"`
	Article string  `json:"msgid"`
	Detail  Sharers `json:"detail"`
}

// Reception is what was done with articles. All are numbers of people but Comments.
type Reception struct {
	Readers
	Shared    int `json:"share_user"`
	Hearts    int `json:"zaikan_user"` // 爱心赞, formerly 在看
	Thumbs    int `json:"like_user"`   // 拇指赞
	Comments  int `json:"comment_count"`
	Favourite int `json:"collection_user"`
}

// Content is the Reception of all articles of an account.
type Content struct {
	Reception
	Originals int `json:"redirect_ori_page_user"` // people who went on to 阅读原文
	Published int `json:"send_page_count"`        // articles
}

// ContentRow sums up all articles on a day.
type ContentRow struct {
	Day    Day     `json:"ref_date"`
	Detail Content `json:"detail"`
}

// ArticleRow tells how a published article grew.
type ArticleRow struct {
	Day         Day          `json:"ref_date"` // of publishing
	Article     string       `json:"msgid"`
	PublishType int          `json:"publish_type"` // 0 fans were told, 1 they were not
	Title       string       `json:"title"`
	URL         string       `json:"content_url"`
	Days        []ArticleDay `json:"detail_list"`
}

// ArticleDay is what was done with an article from its publishing to the end of a day. The units of Praise are not
// documented.
type ArticleDay struct {
	Day Day `json:"stat_date"`
	Reception
	Praise       float64    `json:"praise_money"`
	Followed     int        `json:"read_subscribe_user"` // people who followed after reading
	DeliveryRate float64    `json:"read_delivery_rate"`
	FinishRate   float64    `json:"read_finish_rate"`
	Seconds      float64    `json:"read_avg_activetime"`
	Jumps        []ReadJump `json:"read_jump_position"`
}

// ReadJump is the share of readers who left at a place of the article.
type ReadJump struct {
	Position int     `json:"position"`
	Rate     float64 `json:"rate"`
}

// OldCounters are the figures of the older calls: of the article's page, of the page behind 阅读原文, of shares and of
// favourites, each as people and as times.
type OldCounters struct {
	PageReaders     int `json:"int_page_read_user"`
	PageReads       int `json:"int_page_read_count"`
	OriginalReaders int `json:"ori_page_read_user"`
	OriginalReads   int `json:"ori_page_read_count"`
	Sharers         int `json:"share_user"`
	Shares          int `json:"share_count"`
	Favourers       int `json:"add_to_fav_user"`
	Favourites      int `json:"add_to_fav_count"`
}

// OldArticleRow counts what was done with an article on a day.
type OldArticleRow struct {
	Day     Day    `json:"ref_date"`
	Article string `json:"msgid"`
	Title   string `json:"title"`
	OldCounters
}

// OldArticleTotalRow tells how an article grew in its first seven days.
type OldArticleTotalRow struct {
	Day     Day             `json:"ref_date"` // of sending
	Article string          `json:"msgid"`
	Title   string          `json:"title"`
	URL     string          `json:"url"`
	Days    []OldArticleDay `json:"details"`
}

// OldArticleDay is what was done with an article from its sending to the end of a day.
type OldArticleDay struct {
	Day       Day `json:"stat_date"`
	Receivers int `json:"target_user"`
	OldCounters
	ChatReaders         int `json:"int_page_from_session_read_user"`
	ChatReads           int `json:"int_page_from_session_read_count"`
	HistoryReaders      int `json:"int_page_from_hist_msg_read_user"`
	HistoryReads        int `json:"int_page_from_hist_msg_read_count"`
	MomentsReaders      int `json:"int_page_from_feed_read_user"`
	MomentsReads        int `json:"int_page_from_feed_read_count"`
	FriendReaders       int `json:"int_page_from_friends_read_user"`
	FriendReads         int `json:"int_page_from_friends_read_count"`
	OtherReaders        int `json:"int_page_from_other_read_user"`
	OtherReads          int `json:"int_page_from_other_read_count"`
	ChatMomentsSharers  int `json:"feed_share_from_session_user"` // shared to the moments from a chat
	ChatMomentsShares   int `json:"feed_share_from_session_cnt"`
	MomentsAgainSharers int `json:"feed_share_from_feed_user"`
	MomentsAgainShares  int `json:"feed_share_from_feed_cnt"`
	OtherMomentsSharers int `json:"feed_share_from_other_user"`
	OtherMomentsShares  int `json:"feed_share_from_other_cnt"`
}

// ReadSource is where an article was read, in the older calls.
type ReadSource int

// The sources of reads.
const (
	ReadInChat      ReadSource = 0
	ReadFromFriend  ReadSource = 1
	ReadInMoments   ReadSource = 2
	ReadInHistory   ReadSource = 4
	ReadElsewhere   ReadSource = 5
	ReadTopStories  ReadSource = 6 // 看一看
	ReadFromSearch  ReadSource = 7 // 搜一搜
	ReadFromAllOver ReadSource = 99999999
)

// OldReadRow sums up all articles on a day, of one source or of all.
type OldReadRow struct {
	Day    Day        `json:"ref_date"`
	Source ReadSource `json:"user_source"`
	OldCounters
}

// OldReadHourRow is an OldReadRow of an hour.
type OldReadHourRow struct {
	OldReadRow
	Hour Hour `json:"ref_hour"`
}

// ShareScene is where articles were shared to.
type ShareScene int

// The scenes. 5 has been seen as well.
const (
	SharedToFriend  ShareScene = 1
	SharedToMoments ShareScene = 2
	SharedToWeibo   ShareScene = 3 // Tencent's, long closed
	SharedElsewhere ShareScene = 255
)

// OldShareRow counts shares of all articles on a day, to one scene.
type OldShareRow struct {
	Day     Day        `json:"ref_date"`
	Scene   ShareScene `json:"share_scene"`
	Shares  int        `json:"share_count"`
	Sharers int        `json:"share_user"`
}

// OldShareHourRow is an OldShareRow of an hour.
type OldShareHourRow struct {
	OldShareRow
	Hour Hour `json:"ref_hour"`
}
