package simulator

import "math/rand/v2"

// Nickname invents a name of the kind that fans give themselves.
func Nickname(seed uint64, index int) string {
	rng := rand.New(rand.NewPCG(mix(seed, 0x4e16), uint64(index))) //nolint:gosec // invented data, not secrets
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	surnames := []string{
		"王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "郭", "何", "林", "罗", "欧阳",
	}
	given := []string{
		"伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "洋", "艳", "勇", "杰", "娟", "涛", "超", "霞", "子涵", "欣怡", "浩然", "雨桐",
		"梓轩", "诗琪", "俊杰", "思远", "嘉怡", "明哲", "晓彤", "志远", "若曦", "宇航",
	}
	moods := []string{
		"一米阳光", "南风知我意", "半夏微凉", "柠檬不萌", "云淡风轻", "岁月静好", "追风少年", "小确幸", "山有木兮", "橘子汽水",
		"晚安玛卡巴卡", "努力搬砖中", "向日葵", "星辰大海", "今天也要加油鸭", "慢半拍", "知足常乐", "海边的猫", "不吃香菜", "豆浆油条",
	}
	endings := []string{"", "", "🌸", "~", "²⁰²⁵", "🐳", "の店", "Lucky", "妈妈", "老师"}
	switch rng.IntN(4) {
	case 0:
		return pick(surnames) + pick(given)
	case 1:
		return pick(moods)
	case 2:
		return pick(moods) + pick(endings)
	default:
		return pick([]string{"小", "阿", "老"}) + pick(surnames) + pick(endings)
	}
}

// smallTalk is what fans write that matches no keyword.
func smallTalk() []string {
	return []string{
		"你好", "在吗", "怎么参加活动？", "谢谢", "好的👌", "请问还有名额吗", "地址在哪里", "收到", "多少钱", "今天有货吗", "666",
		"可以退吗", "哈哈哈", "几点开门", "<b>试试</b> & 看看", "已经领过了怎么办", "客服在不在", "想了解一下",
	}
}
