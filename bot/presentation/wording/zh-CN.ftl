# 全部简体中文文案。键和变量与 en.ftl 完全一致，由测试核对。
# $…_at 是已经按读者习惯写好的时间（例如“5 分钟后”）。

list-separator = 、

## 拒绝：没有排队，也不计入额度

queue-full = 队列满了：{ $limit } 个位置已占 { $waiting } 个。请 { $retry_at }再试。
too-many-jobs = 你已有 { $active } 个请求在排队或绘制，同时最多 { $limit } 个。{ $retry_at }可以再提交；用 `/取消` 取消一个就能马上腾出位置。
daily-limit = 24 小时内最多 { $limit } 张图片，你已用了 { $used } 张。{ $retry_at }可以再提交。
cooling-down = 请稍等，{ $retry_at }就可以再提交。两次提交之间至少隔 { $cooldown_s } 秒。
job-too-large = 这张图片的工作量超过了这里的上限。{ $max_steps ->
        [0] 请选小一点的尺寸。
       *[other] 这个尺寸最多可以用 { $max_steps } 步。
    }
not-accepting = 我正在重启，暂时不接受新请求。排队中的图片都会保留位置，请一分钟后再试。
storage-full = 磁盘快满了，暂时不接受新请求。请告诉机器人维护者。
job-not-found-here = 本服务器没有图片 #{ $job_id }。它可能已过期被清理。
file-not-deleted = 图片 #{ $job_id } 的文件暂时删不掉，没有做任何改动。请稍后再试。
job-not-found = 没有图片 #{ $job_id }。它可能已过期被清理；用 `/历史` 可以查看你自己的图片。
not-your-job = 图片 #{ $job_id } 是别人的。
job-unreadable = 图片 #{ $job_id } 保存的设置无法读取，不能再画一次。
job-already-finished = 图片 #{ $job_id } 已经结束，没有可取消的了。
server-not-allowed = 我不为这个服务器服务，可用的服务器由机器人维护者决定。
channel-not-allowed = 我不在这个频道画图，请前往 { $channels }。
permissions-missing = 我没法在 { $channel } 回复，缺少以下权限：{ $permissions }。请联系频道管理员。
server-not-listed = 暂停和恢复会影响这个机器人服务的所有服务器。请机器人维护者先把本服务器加入 `[discord]` 的 `allowed_guilds`：{ $guild_id }。
store-unavailable = 数据库暂时不可用。这次不计入额度，请一分钟后再试。
managers-only = 只有拥有“管理服务器”权限的成员才能这样做。
picture-not-ready = 图片 #{ $job_id } 还看不了：仍在等待，或已失败、已取消。
picture-pruned = 图片 #{ $job_id } 的文件已过期被清理。种子还在 `/历史` 里，可以重新画一张。
picture-erased = 图片 #{ $job_id } 已被删除，提示词也一并删除了。
keeps-too-many = 你已经收藏了 { $limit } 张图片，达到上限了。请先取消收藏一张。

permission-view-channel = 查看频道
permission-send-messages = 发送消息
permission-send-messages-in-threads = 在子区内发送消息
permission-embed-links = 嵌入链接
permission-attach-files = 附加文件

invalid-prompt-empty = 请先写下想画什么。
invalid-prompt = 提示词要有 1 到 { $max_chars } 个可见字符。
invalid-seed = 种子必须是 0 到 { $max_seed } 的整数；留空（或填 −1）则随机。
invalid-steps = 步数必须是 1 到 { $max_steps } 的整数。
invalid-aspect = 当前模型画不了这种画幅，请从列表里选。
invalid-model-other = 这里没有这个模型。可选：{ $models }。
# 变量以百万为单位；后面的“00 万”换算成中文的说法（64 百万 = 6400 万）。
invalid-image = 起始图片须为 PNG、JPEG 或 WebP，不超过 { $max_image_mib } MiB、{ $max_image_megapixels }00 万像素（PNG 和 WebP 为 { $max_whole_megapixels }00 万），长宽比也不能过大。
invalid-strength = 重绘强度可以是 `subtle`（轻微）、`medium`（适中）或 `strong`（强烈），也可以是大于 0、不超过 1 的数，例如 `0.6` 或 `60%`。
invalid-value = “{ $field }”不可用：{ $reason }。

unexpected-error = 我这边出错了。没有丢失任何内容，也不计入额度，请再试一次。如果一直这样，请把错误编号告诉机器人维护者：{ $error_id }。
command-outdated = 这个命令刚刚更新。请等一分钟，或刷新 Discord（Ctrl+R）后再试。

## 任务失败的原因

failure-generation-failed = 绘制失败，不计入额度。请再试一次，也可以换个说法。
failure-out-of-memory = 显存不足，不计入额度。换小一点的尺寸也许可以。
failure-timeout = 绘制时间过长，已中止，不计入额度。减少步数或换小一点的尺寸也许可以。
failure-interrupted = 绘制这张图片时我重启了两次，不计入额度，请再试一次。
failure-model-missing = 模型文件缺失，不计入额度。请告诉机器人维护者。
failure-invalid-spec = 当前模型画不了这个尺寸或这些设置，不计入额度，请重新提交。
failure-storage = 这张图片的文件没能读取或保存，多半是磁盘满了，不计入额度。请告诉机器人维护者。
failure-unreadable = 这张图片保存的设置已损坏，画不了，不计入额度，请重新提交。
failure-newer-release = 这张图片是由更高版本的机器人接受的，其中有当前版本不认识的设置，不计入额度。如果一周内换回那个版本，就会继续绘制；也可以重新提交。
failure-blocked = 这张图未通过本机的图片检查。此次不计入额度。
failure-other = 这张图片失败的原因只有更高版本的机器人才知道，不计入额度。
prompt-unreadable = （保存的提示词无法读取。）

## 频道里的消息

card-waiting = ⏳ { $who } · 排队中
card-next = ⏳ { $who } · 下一张就是你的
card-next-loading = ⏳ { $who } · 下一张就是你的 · 正在加载 { $model }
card-ahead = ⏳ { $who } · 前面还有 { $count } 张
card-preparing = ⚙️ 正在加载 { $model }，好了就开始画。
card-passed-by-people = ↕️ 最近一小时里其他人用的绘制时间较少，所以先画他们的。
card-passed-by-model = ↕️ 先画用已加载模型的图片，最多让你多等两分钟。
card-running = 🎨 { $who } · 第 { $step } / { $steps } 步
card-loading = 🎨 { $who } · 正在加载 { $model }
card-encoding = 🎨 { $who } · 正在理解提示词
card-decoding = 🎨 { $who } · 正在收尾
card-stopping = 🎨 { $who } · 正在停止
card-finish = { $when }完成
card-finish-rough = 大约{ $when }完成
card-finish-soon = 马上完成
card-paused = ⏸️ 已暂停：{ $reason }
card-paused-by-moderator = ⏸️ 已由管理员暂停
pause-engine-failures = 连续几张图片都失败了，过一会儿我会再试一张
pause-storage = 图片无法保存，一旦能保存就会继续
card-resumed = ↻ 我重启过，你的排队位置还在。
card-done = ✅ { $who } · 你的图片画好了
card-done-elsewhere = ✅ { $who } · 你的图片在本频道的新消息里。
card-done-by-dm = ✅ { $who } · 图片没法发在这里，已经私信给你。
card-failed = ❌ { $who } · { $reason }
card-cancelled = 🚫 { $who } · 已取消
card-settings = #{ $job_id } · 种子 { $seed } · { $steps } 步 · { $width } × { $height } · { $model }
card-seconds = { $settings } · { $seconds } 秒
card-no-seconds = { $settings } · 不到 0.1 秒
card-shrunk = 为满足 Discord 的上传限制已压缩（{ $format }），原图已保留。
card-prompt-hidden = （服务器的 AutoMod 不允许我重复提示词。）
card-from-picture = 这张图片是从一张起始图片画成的（重绘强度 { $strength }），命令里带不上起始图片；只用这条命令，画出来的会不一样。
card-other-model = 这张图片是用 { $model } 画的；现在这条命令会用 { $usual } 来画，结果会不一样。
unread-prompt = ⚠️ 这个模型只认识英文：提示词的 { $total } 个字符中有 { $count } 个它读不懂。请用英文写提示词。
prompt-cut = ⚠️ 提示词太长，这个模型读不完，末尾的部分不起作用。请缩短提示词。
negative-cut = ⚠️ 负面提示词太长，这个模型读不完，末尾的部分不起作用。请缩短负面提示词。
card-picture-pruned = 文件已过期被清理，用同一条命令可以重新画。
button-cancel = 取消

## 私密回复

cancel-done = 图片 #{ $job_id } 已取消。
cancel-stopping = 图片 #{ $job_id } 会在下一步停下，你不用再做什么。

queue-title = { $running ->
        [0] { $waiting ->
                [0] 没有人在排队。
               *[other] 没有正在绘制的图片，{ $waiting } 张排队
            }
       *[other] { $running } 张正在绘制，{ $waiting ->
                [0] 没有人在排队
               *[other] { $waiting } 张排队
            }
    }
queue-running = 🎨 #{ $job_id } · { $who } · { $finish }
queue-waiting = { $position }. #{ $job_id } · { $who } · { $finish }
queue-more = ……还有 { $count } 张
queue-elsewhere = + 其他服务器 { $count } 张
queue-unknown-finish = 等队列恢复

history-title = 你的图片
history-search-title = 你的图片：包含“{ $search }”
history-empty = 还没有图片，用 `/imagine` 画第一张吧。
history-nothing-found = 没有找到符合“{ $search }”的图片。可以搜提示词里的词、种子（seed:42）、编号（#35）或日期（昨天、11月29日、2026-11-01..2026-11-10）。
history-line = **#{ $job_id }** · { $when } · 种子 { $seed }
history-older = 更早
history-newest = 最新
history-file-gone = 图片 #{ $job_id } 的文件已过期被清理。

quota-title = 你的额度
quota-used = 24 小时内：已用 **{ $used }** / { $limit } 张
quota-resets = { $resets_at }可以再提交。
quota-active = 排队或绘制中的请求：**{ $active }** / { $active_limit } 个
quota-cooldown = 你还有未完成的请求，或有人在排队时，两次提交之间至少隔 { $cooldown_s } 秒。
quota-sizes = 草稿按像素折算，大图和步数更多的图片多算。
quota-free = 被拒绝、失败和开始前取消的请求都不计入额度。

notes-title = 你之前的请求有了结果：
note-done = ✅ #{ $job_id } 画好了，用 `/查看 编号:{ $job_id }` 发出来。
note-failed = ❌ #{ $job_id }：{ $reason }
note-cancelled = 🚫 #{ $job_id } 已取消。

## 本地页面

console-starting = 页面正在准备中，几秒后会自动打开。
console-prompt = 想画什么
console-prompt-demo = 内置模型认识 431 种东西，一次画一个或几个；不认识的多半会画成思考的表情。
console-prompt-english = 请用英文写：这个模型不认识中文。
console-draw = 开始画
console-seed = 种子（−1 = 随机）
console-dice = 🎲 随机
console-keep = 📌 保留
console-steps = 步数
console-aspect = 画幅
console-model = 模型
console-count = 张数
console-more = 更多设置
console-source = 起始图片
console-strength = 重绘强度：多少内容重新画
console-name = 排队时显示的名字（可不填）
console-name-hint = 某人
console-queued = { $count ->
        [1] 已加入队列。
       *[other] 已加入队列：{ $count } 张。
    }
console-waiting = 排队中
console-next = 下一张就是你的
console-next-loading = 下一张就是你的 · 正在加载 { $model }
console-ahead = 前面还有 { $count } 张
console-running = 第 { $step } / { $steps } 步
console-loading = 正在加载 { $model }
console-encoding = 正在理解提示词
console-decoding = 正在收尾
console-stopping = 正在停止
console-resumed = ↻ 服务重启过，你的排队位置还在。
console-download = ⬇ 下载
console-reuse = ↩ 用这些设置
console-ok = 知道了
console-gallery = 你的图片
console-search = 搜索提示词、种子或日期
console-offline = 服务没有响应。恢复后页面会自动继续，排队中的图片不会丢失。
console-from-picture = { $settings } · 从起始图片画成，重绘强度 { $strength }
console-you = 你
console-somebody = 某人
console-elsewhere = Discord 上的某人
console-in-seconds = { $count } 秒后
console-in-minutes = { $count } 分钟后
console-in-hours = { $count } 小时后
console-too-many-jobs = 你已有 { $active } 个请求在排队或绘制，同时最多 { $limit } 个。{ $retry_at }可以再提交；取消一个就能马上腾出位置。
console-job-not-found = 图片 #{ $job_id } 不是你的，或已过期被清理。
already-unpacking = 还在读取另一张起始图片，请过几秒再试。
upload-gone = 起始图片已不在了，请重新选择。
too-many-from-address = 你的网络地址今天共有 { $used } 张图片在排队或已画，上限是 { $limit } 张。请 { $retry_at }再试。

## 管理

admin-paused =
    { $paused }
    排队的图片保留位置。
admin-resumed = 队列已恢复。{ $waiting ->
        [0] 没有图片在排队。
       *[other] 有 { $waiting } 张图片在排队。
    }
admin-stats =
    模型 **{ $model }** · { $state }
    排队 { $waiting } · 绘制中 { $running }
    24 小时内：完成 { $done }，失败 { $failed }，取消 { $cancelled }
    24 小时绘制时间：{ $drawn } · 每步：{ $step }
    剩余磁盘：{ $disk_gib } GiB · { $started_at }启动
admin-card = 权重：{ $format } · 显卡上 { $resident_gb } GB · 每步传输 { $streamed_gb } GB，{ $link_gb_s } GB/s
admin-state-open = 接受新请求
admin-state-closing = 正在关闭
admin-step = { $step_s } 秒
admin-step-unknown = 还没有测量

## 模型不认识的词

unknown-words = ⚠️ { $model } 模型不认识：{ $words }。它会画什么，见 `/帮助`。
console-unknown-words = ⚠️ { $model } 模型不认识：{ $words }。
unknown-words-and-more = { $words }等
unknown-word-meant = { $word }（是 { $meant } 吗？）

## 帮助、提及、私信

help-title = 我能做什么
help-about = 输入 `/imagine prompt: …`，我就在运行我的那台电脑上画出来。图片大家都看得到，消息里写着怎样再画一张同样的。
help-knows-title = 这个模型会画什么
help-knows = { $count } 种东西，一次一到四个，背景颜色任选。例如：{ $names }
help-models-title = 模型与许可证
help-model-commercial = **{ $title }** · { $licence } · 可以商用
help-model-private = **{ $title }** · { $licence } · 不可商用
help-models-more = ……还有 { $count } 个
help-languages-title = 语言
help-languages = 这里的模型（{ $model }）认识：{ $languages }。
help-languages-any = 这里的模型（{ $model }）什么语言都认识。
language-en = 英文
language-zh = 中文（简体）
help-limits-title = 你的额度
help-stored-title = 会保存什么
help-stored = 在运行我的电脑上保存 { $days } 天：你的 Discord ID、提示词、设置和图片；你收藏的图片保存更久。运行我的人都能看到。频道里的消息会一直留到有人删除。
help-examples-title = 试一试
help-examples = 点一下按钮就在这里画，大家都看得到，算作你自己的图片。
example-gone = 这个示例属于另一个模型或版本，所以没有画。现在的示例见 `/帮助`。
greeting-server = 输入 { $imagine }，在“prompt:”后面写下想画的东西。{ $help } 里有点一下就能画的示例。
greeting-direct = 命令要在服务器里用，这里不行：请到服务器里输入 { $imagine }，在“prompt:”后面写下想画的东西。{ $help } 里有点一下就能画的示例。

## 命令：名称（小写，最多 32 字）和说明（最多 100 字）

command-imagine-name = imagine
command-imagine-description = 画一张图片
option-prompt-description = 想画什么，用自己的话说
option-prompt-english-description = 想画什么，请用英文写（这个模型不认识中文）
option-seed-description = 种子和设置相同，图片就相同；留空或填 −1 则随机
option-steps-description = 步数越多越慢，细节也越多
option-aspect-description = 画幅
aspect-square = 方形
aspect-portrait = 竖幅
aspect-landscape = 横幅
aspect-phone = 手机竖屏
aspect-wide = 宽屏

command-queue-name = 队列
command-queue-description = 谁在排队，还要等多久
command-cancel-name = 取消
command-cancel-description = 取消你的一张图片
option-cancel-job-name = 图片
option-cancel-job-description = 你的哪一张图片，排队中或正在绘制的都可以
command-history-name = 历史
command-history-description = 你的图片，从新到旧（只有你能看到）
option-search-name = 搜索
option-search-description = 提示词里的词、种子（seed:42）、编号（#35）或日期（昨天、11月29日、2026-11-01..2026-11-10）
command-show-name = 查看
command-show-description = 再发一次图片：你自己的，或本服务器里公开的
option-id-name = 编号
option-id-description = 图片的编号
command-quota-name = 额度
command-quota-description = 你的额度，以及已经用了多少

command-help-name = 帮助
command-help-description = 我能做什么，附点一下就画的示例

command-admin-name = 管理
command-admin-description = 管理员用：队列、图片、禁令、禁用词、限额和频道
command-admin-pause-name = 暂停
command-admin-pause-description = 停止绘制；排队的图片保留位置
option-reason-name = 原因
option-reason-description = 会显示给所有正在等待的人
command-admin-resume-name = 恢复
command-admin-resume-description = 继续绘制
command-admin-queue-name = 队列
command-admin-queue-description = 队列，含本服务器的提示词
command-admin-cancel-name = 取消
command-admin-cancel-description = 取消本服务器任何人的图片
command-admin-stats-name = 统计
command-admin-stats-description = 负载、速度和磁盘

## 图片下面的按钮

button-again = 🔄 再来一张
button-edit = ✏️ 修改
button-vary = 🌱 微调
button-more = ⋯ 更多
button-final = 🎨 画成正式尺寸
form-size = 尺寸
form-size-hint = { $names }，或 { $example } 这样的宽高
option-size-description = 列表里的尺寸，或 448x448 这样的宽高
button-more-steps = 🔬 同一种子，{ $steps } 步
button-start-from = 🖼️ 用作起始图片
button-info = ℹ️ 详情
button-original = 📄 原文件
button-send-dm = ✉️ 私信给我
button-keep = ⭐ 收藏
button-unkeep = ⭐ 取消收藏
button-delete = 🗑️ 删除
button-erase = 🗑️ 彻底删除
press-repeated = 收到了，按一次就够。
pick-title = 选哪一张？
pick-option = 第 { $number } 张 · #{ $job_id } · 种子 { $seed }
menu-title = 图片 #{ $job_id } · { $prompt }
info-title = 图片 #{ $job_id }
info-asked = { $who } { $when }提交
info-drawn = { $when }画完，用时 { $seconds } 秒
info-derived = 由图片 #{ $job_id } 而来
info-from-image = 从一张图片画起，强度 { $strength }
info-file = 文件：{ $kib } KiB
info-kept = ⭐ 已收藏，不会过期。
original-file = 图片 #{ $job_id } 的文件
dm-sent = 图片 #{ $job_id } 已私信给你。
dm-closed = 我没法给你发私信。请在这个服务器的隐私设置里允许私信，然后再试。
image-kept = ⭐ 图片 #{ $job_id } 已收藏，不会过期。
image-kept-no-longer = 图片 #{ $job_id } 不再收藏，会和其他图片一样过期。
delete-question = 彻底删除图片 #{ $job_id }？文件、提示词和消息都会消失，但仍计入今天的额度。
image-deleted = 图片 #{ $job_id } 已删除，提示词也一并删除了。
image-deleted-but-message = 图片 #{ $job_id } 和提示词已删除，但我没法撤回消息。请自己删除那条消息，或请管理员删除。
form-edit-title = 修改图片 #{ $job_id }
form-start-from-title = 从图片 #{ $job_id } 画起
form-prompt = 画什么
form-seed = 种子
form-seed-hint = 种子相同，图片相近；留空则随机。
form-steps = 步数
form-aspect = 画幅
form-strength = 改动多少
strength-subtle = 轻微：贴近原图
strength-medium = 适中：布局不变，内容更新
strength-strong = 强烈：只留一点原图的影子
fewer-queued = { $wanted } 张里有 { $count } 张已排队。
card-batch = 已画好 { $done } / { $count } 张
card-done-several = ✅ { $who } · { $count } 张里画好了 { $done } 张
card-done-all = ✅ { $who } · 你的 { $count } 张图片画好了
card-some-cancelled = 🚫 有 { $count } 张已取消。
card-some-failed = ❌ 没有全部画成：{ $reason }
card-settings-several = { $job_ids } · 种子 { $seeds } · { $steps } 步 · { $width } × { $height } · { $model }
ping-done = ✅ { $who } { $count ->
        [1] 你的图片画好了。
       *[other] 你的 { $count } 张图片画好了。
    }
ping-failed = ❌ { $who } 你的图片没画成，原因见它的消息。
command-settings-name = 设置
command-settings-description = 你自己的设置
option-ping-name = 通知
option-ping-description = 等候超过一分钟的图片画好后，怎么告诉你
ping-choice-here = 在频道里提到我
ping-choice-dm = 发私信
ping-choice-off = 不通知
option-count-description = 画几张，种子依次加一
option-model-description = 用哪个模型画，清单见 /帮助
option-negative-description = 不想要的内容；不支持这项设置的模型会拒绝
option-cfg-description = 多大程度上照着文字画；1 表示不理会“不想要的内容”
option-guidance-description = 多大程度上照着文字画（FLUX 系列的模型）
option-sampler-description = 噪声怎样变成图片
option-clip-skip-description = 用 CLIP 的哪一层，1 是最后一层

## 提示词里的参数，以及从其他程序粘贴来的设置

invalid-flag = 提示词里的“{ $flag }”有误：{ $name ->
        [seed] 种子必须是 0 到 { $most } 的整数，-1 表示随机。
        [steps] 步数必须是 1 到 { $most } 的整数。
        [count] 张数必须是 1 到 { $most } 的整数。
        [aspect] 画幅写成 16:9 这样，或写名称：square、portrait、landscape、phone、wide。
        [size] 尺寸写 draft、normal、large，或写成 448x448 这样。
        [model] 缺少模型名称。
        [cfg_scale] CFG 强度必须是 1 到 { $most } 之间的数。
        [guidance] 引导强度必须是 0 到 { $most } 之间的数。
        [clip_skip] CLIP 跳层必须是 1 到 { $most } 的整数。
        [sampler] 缺少采样器名称。
        [strength] 重绘强度写 subtle（轻微）、medium（适中）、strong（强烈），或大于 0、不超过 1 的数，也可以写成 60% 这样。
       *[other] 缺少参数值。
    }
flags-taken = 已采用提示词里的设置：{ $settings }
flags-taken-aspect = 画幅 { $value ->
        [square] 方形
        [portrait] 竖幅
        [landscape] 横幅
        [phone] 手机竖屏
        [wide] 宽屏
       *[other] { $value }
    }
flags-taken-size = 尺寸 { $value ->
        [draft] 草稿
        [normal] 标准
        [large] 大图
       *[other] { $value }
    }
flags-taken-seed = { $value ->
        [-1] 随机种子
       *[other] 种子 { $value }
    }
flags-taken-steps = { $value } 步
flags-taken-count = { $value } 张
flags-taken-model = 模型 { $value }
flags-taken-negative = 不要 { $value }
flags-taken-no-negative = 没有负面提示词
flags-taken-cfg = CFG { $value }
flags-taken-guidance = 引导强度 { $value }
flags-taken-sampler = 采样器 { $value }
flags-taken-clip-skip = CLIP 跳层 { $value }
flags-most-images = 一次最多 { $most } 张。
flags-unknown = 这里不认识：{ $names }
flags-unsupported = 这里用 { $model } 做不到：{ $names }
flags-unused = 这里用不上：{ $names }
flags-overridden = 你已另行设置，因此没有采用提示词里的：{ $names }
flags-more = 还有 { $count } 个

## 尺寸

size-draft = 草稿
size-normal = 标准
size-large = 大图
invalid-size = 尺寸可以是 `draft`（草稿）、`normal`（标准）或 `large`（大图），也可以写宽和高的像素数，例如 `448x448`。
invalid-size-nearest = { $model } 画不了这个尺寸。最接近的可用尺寸是 `{ $nearest }`。
invalid-size-not-offered = { $model } 没有这种尺寸。可选：{ $sizes }。
invalid-size-memory = 这里的显存放不下 { $size } 的图片。请选小一点的尺寸。
already-final = 图片 #{ $job_id } 不是草稿，按标准尺寸重画也不会变大。
console-size = 尺寸
console-exact-size = 精确尺寸，代替画幅和尺寸（可不填）
console-exact-size-hint = 448x448

## 只有部分模型才有的设置

invalid-negative-prompt = 负面提示词最多 { $max_chars } 个可见字符。
invalid-negative-prompt-not-offered = { $model } 不支持负面提示词。请去掉它，在提示词里直接写想要的内容。
invalid-cfg-scale = CFG 强度必须是 { $min_cfg } 到 { $max_scale } 之间的数。
invalid-cfg-scale-not-offered = { $model } 不能设置 CFG 强度，请去掉这一项。
invalid-guidance = 引导强度必须是 0 到 { $max_scale } 之间的数。
invalid-guidance-not-offered = { $model } 不能设置引导强度，请去掉这一项。
invalid-sampler = 没有这种采样器。可选：{ $samplers }。
invalid-sampler-other = { $model } 没有这种采样器。可选：{ $samplers }。
invalid-sampler-not-offered = { $model } 只有一种采样器，不能选择，请去掉这一项。
invalid-clip-skip = CLIP 跳层必须是 1 到 { $max_clip_skip } 的整数。
invalid-clip-skip-not-offered = { $model } 不能设置 CLIP 跳层，请去掉这一项。
settings-sampling = 采样器 { $sampler } · CFG { $cfg }
settings-clip-skip = CLIP 跳层 { $clip_skip }
settings-negative = 负面提示词：{ $negative }
negative-idle = ⚠️ CFG 强度为 1 时，负面提示词不起作用。
setting-negative-prompt = 负面提示词
setting-cfg-scale = CFG 强度
setting-guidance = 引导强度
setting-sampler = 采样器
setting-clip-skip = CLIP 跳层
settings-lost = { $model } 没有前一张图片的这些设置，已去掉：{ $names }
setting-own = 按模型的默认值
console-negative = 不想要的内容（负面提示词）
console-cfg = CFG 强度
console-guidance = 引导强度
console-sampler = 采样器
console-clip-skip = CLIP 跳层

## 管理员的处理

invalid-moment = { $flaw ->
        [past] 这个时间已经过去了，请填一个将来的时间。
        [far] 这个时间在十年以后了。请填早一点的时间，或者不填，表示没有期限。
       *[unreadable] 看不懂这个时间。可以这样写：`30m`、`2h`、`3d`、`18:00`、`2026-12-24` 或 `2026-12-24 18:00`。
    }
picture-removed = { $has_reason ->
        [yes] 图片 #{ $job_id } 已被管理员移除：{ $reason }
       *[no] 图片 #{ $job_id } 已被管理员移除。
    }
note-removed = { $has_reason ->
        [yes] 🚫 #{ $job_id } 已被管理员移除：{ $reason }
       *[no] 🚫 #{ $job_id } 已被管理员移除。
    }
note-stopped = { $has_reason ->
        [yes] 🚫 #{ $job_id } 已被管理员取消：{ $reason }
       *[no] 🚫 #{ $job_id } 已被管理员取消。
    }
card-stopped = { $has_reason ->
        [yes] 🚫 { $who } · 已被管理员取消：{ $reason }
       *[no] 🚫 { $who } · 已被管理员取消
    }
prompt-erased = （提示词已删除。）
banned = { $has_reason ->
        [yes] 你已被管理员禁止绘图：{ $reason }
       *[no] 你已被管理员禁止绘图。
    }
banned-until = { $has_reason ->
        [yes] 你已被管理员禁止绘图：{ $reason }
            禁令{ $until_at }解除。
       *[no] 你已被管理员禁止绘图，{ $until_at }解除。
    }
blocked-word = { $is_disguised ->
        [yes] “{ $found }”会被识别为“{ $word }”，它在这里的禁用词表里，请去掉它。
       *[no] “{ $word }”在这里的禁用词表里，请去掉它。
    }
restricted-word = { $is_disguised ->
        [yes] “{ $found }”会被识别为“{ $word }”，只能在年龄限制频道里画。请去掉它，或到这样的频道里提交。
       *[no] “{ $word }”只能在年龄限制频道里画。请去掉它，或到这样的频道里提交。
    }
invalid-word = “{ $word }”不能加进词表：至少要有两个字母或一个汉字，最多 100 个字符。
too-many-words = 词表已满：最多 { $limit } 个词。
command-admin-remove-name = 移除
command-admin-remove-description = 彻底移除本服务器的一张图片和它的提示词
option-remove-reason-name = 原因
option-remove-reason-description = 会告诉提交者
command-admin-ban-name = 封禁
command-admin-ban-description = 禁止某人绘图，在所有服务器生效
option-ban-user-name = 用户
option-ban-user-description = 对谁生效
option-ban-until-name = 截止
option-ban-until-description = 例如 2h、3d、2026-12-24 或 2026-12-24 18:00；不填则一直有效
option-ban-reason-name = 原因
option-ban-reason-description = 会告诉那个人
command-admin-unban-name = 解除封禁
command-admin-unban-description = 允许某人再次绘图
command-admin-bans-name = 封禁名单
command-admin-bans-description = 查看谁被禁止绘图
command-admin-words-name = 禁用词
command-admin-words-description = 不画的词
command-admin-words-add-name = 添加
command-admin-words-add-description = 拒绝含有某个词的提示词，无论怎样写
command-admin-words-remove-name = 删除
command-admin-words-remove-description = 从词表里删除一个词
command-admin-words-test-name = 测试
command-admin-words-test-description = 看看一段文字会因为什么被拒绝
command-admin-words-list-name = 列表
command-admin-words-list-description = 查看词表
option-word-name = 词
option-word-description = 一个词或短语；多个用逗号隔开
option-where-name = 范围
option-where-description = 在哪里拒绝
where-everywhere = 所有频道
where-sfw = 年龄限制频道以外
option-test-text-name = 文字
option-test-text-description = 可能有人会提交的内容
admin-removed = 图片 #{ $job_id } 已彻底移除，提示词也一并删除了。
admin-removed-but-message = 图片 #{ $job_id } 已彻底移除。它的消息暂时删不掉，我会继续尝试，你也可以自己删除。
admin-banned = { $who } { $until }不能绘图。取消的请求：{ $count } 个。
ban-for-good = 在你解除封禁之前
ban-until = 在 { $when } 之前
admin-unbanned = { $who } 可以再次绘图了。
admin-not-banned = { $who } 没有被封禁。
admin-bans-title = 被封禁的人：{ $count }
admin-ban-line = { $has_reason ->
        [yes] { $who } · { $until } · { $reason }
       *[no] { $who } · { $until }
    }
admin-ban-nobody = 某个删除了全部数据的人
admin-bans-more = 还有 { $count } 人
admin-words-added = 从现在起拒绝（{ $where }）：{ $words }
admin-words-removed = 不再拒绝：{ $words }
admin-words-not-there = 词表里没有这个词。
admin-words-empty = 词表是空的：任何提示词都会画。
admin-words-title = 不画的词：{ $count } 个
admin-words-passes = 这会被画出来：没有词表里的词。
admin-words-caught = 这会被拒绝（{ $where }）：“{ $found }”会被识别为“{ $word }”。

## 身份组、额度和频道

steps-not-allowed = 你要求 { $steps } 步，而你的身份组最多允许 { $limit } 步，请减少步数。
model-not-allowed = 你的身份组不能使用 { $model }。可用的模型：{ $allowed }。
quota-own = 这个张数是管理员单独为你设定的。
quota-steps = 每张图片最多 { $max_steps } 步。
quota-models = 你的身份组可用的模型：{ $models }
admin-quota-set = { $who } 现在 24 小时内可以画 { $images } 张图片，不受身份组限制。
admin-quota-reset = { $who } 每天的张数恢复为由身份组和通用额度决定。
channel-holds = 在 { $channel }，没有另外指定时：
channel-model = 模型：{ $model }
channel-model-usual = 模型：{ $model }（与其他频道相同）
channel-shape = 画幅：{ $shape }
channel-shape-usual = 画幅：模型默认
channel-private = 图片：私密，只有提交者能看到
channel-public = 图片：这里的人都能看到
channel-threads = 这个频道的子区沿用这些设置，除非子区里另有设定。
channel-parent = 这个子区没有设定的，沿用 { $parent } 的设置。
command-admin-quota-name = 额度
command-admin-quota-description = 设定某个人 24 小时内可以画多少张
option-quota-user-name = 用户
option-quota-user-description = 为谁设定
option-images-name = 张数
option-images-description = 24 小时内的张数；留空则恢复为由身份组决定
command-admin-channel-name = 频道
command-admin-channel-description = 查看或设定这个频道或子区的默认设置
option-channel-model-name = 模型
option-channel-model-description = 没有另外指定时用的模型
option-channel-aspect-name = 画幅
option-channel-aspect-description = 没有另外指定时的画幅
option-channel-private-name = 私密
option-channel-private-description = 是否只有提交者能看到图片
option-channel-reset-name = 重置
option-channel-reset-description = 清除之前在这里的设定

## 暂停和静默时段

card-paused-until = ⏸️ 暂停到 { $until }：{ $reason }
card-paused-until-by-moderator = ⏸️ 管理员已暂停，到 { $until } 为止
console-paused-until = ⏸️ 已暂停：{ $reason }，{ $until }恢复绘制。
console-paused-until-by-moderator = ⏸️ 管理员已暂停，{ $until }恢复绘制。
pause-quiet-hours = 静默时段
queue-full-paused = 队列满了：{ $limit } 个位置已占 { $waiting } 个，而且队列已暂停，恢复后才会有空位。
queue-full-paused-until = 队列满了：{ $limit } 个位置已占 { $waiting } 个，而且队列已暂停。请等恢复后再试：{ $opens_at }。
too-many-jobs-paused = 你已有 { $active } 个请求在排队，同时最多 { $limit } 个，而且队列已暂停。恢复后可以再提交；用 `/取消` 取消一个就能马上腾出位置。
too-many-jobs-paused-until = 你已有 { $active } 个请求在排队，同时最多 { $limit } 个，而且队列已暂停。恢复后（{ $opens_at }）可以再提交；用 `/取消` 取消一个就能马上腾出位置。
console-too-many-jobs-paused = 你已有 { $active } 个请求在排队，同时最多 { $limit } 个，而且队列已暂停。恢复后可以再提交；取消一个就能马上腾出位置。
console-too-many-jobs-paused-until = 你已有 { $active } 个请求在排队，同时最多 { $limit } 个，而且队列已暂停。恢复后（{ $opens_at }）可以再提交；取消一个就能马上腾出位置。
admin-next-quiet = 下一个静默时段从 { $next_at } 开始。
option-pause-until-name = 截止
option-pause-until-description = 到时自动恢复：30m、2h、18:00、2026-12-24 18:00

## 历史

not-of-this-server = 图片 #{ $job_id } 不是在本服务器画的，在这里只有它的提交者能用。
posted-own = 🖼️ { $owner } 的图片 #{ $job_id }
posted-of-other = 🖼️ { $owner } 的图片 #{ $job_id } · 由 { $who } 发布
button-post = 📣 发到这里
history-line-removed = **#{ $job_id }** · { $when } · 🛡️ 已被管理员移除
history-line-removed-because = **#{ $job_id }** · { $when } · 🛡️ 已被管理员移除：{ $reason }
history-private = 🔒 私密
history-spoiler = 🙈 剧透
history-kept = ⭐
history-days = 📅 { $days }
history-cut = 已经搜到 #{ $job_id }，再往后可能还有。
history-nothing-yet = 目前还没找到符合“{ $search }”的图片，还可以继续搜。
history-newer = 较新
history-oldest = 最早
history-search-older = 继续往前搜
history-search-newer = 继续往后搜
history-back = 回到列表
history-pick = 选一张图片来发布、修改或删除
history-picked-title = 图片 #{ $job_id }
history-sheet-alt = { $numbers } 的缩略图
history-label = #{ $job_id } · { $age } · 种子 { $seed }
history-age-minutes = { $count ->
    [0] 刚刚
   *[other] { $count } 分钟前
}
history-age-hours = { $count } 小时前
history-age-days = { $count } 天前

## 个人设置和预设

settings-title = 你的设置
settings-footer = 使用 /imagine 时，没有另外填写的项目按这里的设置。用“重置”可以改回默认。
settings-as-model = 按模型的默认值
settings-usual-model = 默认模型（{ $model }）
settings-model-gone = 这里已经没有“{ $model }”，改用默认模型
settings-unreadable = ⚠️（存下的内容无法读取，不起作用）
settings-no-words = 无
settings-not-chosen = 未选择：关闭，除非频道另有规定
settings-on = 开启
settings-off = 关闭
mine-aspect = 画幅
mine-steps = 步数
mine-suffix = 每个提示词后面加上
mine-model = 模型
mine-ping = 等了很久时
mine-language = 私下回复你的语言
mine-private = 私密图片
mine-private-to = 私密图片的送达方式
mine-spoiler = 剧透遮挡
reset-all = 全部
language-of-discord = 跟随你的 Discord
private-to-dm = 发私信
private-to-button = 在频道里放一个只有你能打开的按钮
option-aspect-name = 画幅
option-steps-name = 步数
option-suffix-name = 后缀
option-suffix-description = 加在每个提示词后面的文字；指定种子时不加
option-model-name = 模型
option-language-name = 语言
option-language-description = 我私下回复你时用的语言
option-private-name = 私密
option-private-description = 图片是否只给你一个人看
option-private-to-name = 私密送达
option-private-to-description = 私密图片怎样送到你手里
option-spoiler-name = 剧透
option-spoiler-description = 图片是否要点击后才显示；提示词不遮挡
option-reset-name = 重置
option-reset-description = 把哪一项改回默认
option-preset-description = 你的一个预设；这里另外填写的优先
setting-invalid = “{ $setting }”不能设成这个值，请从列表里选。
words-only = 加在提示词里的只能是文字，最多 { $most } 个字符。画幅、尺寸、种子等请用各自的选项。
preset-name-invalid = 预设的名称要有 1 到 { $most } 个字符，可以用文字、数字、表情、空格和短横线。
no-such-preset = 没有这个名称的预设。用 `/预设 列表` 查看现有的预设。
preset-empty = 这个预设没有任何内容，请至少填一项设置。
too-many-presets = 你已经有 { $limit } 个预设，达到了上限。请先删除一个。
command-preset-name = 预设
command-preset-description = 用一个名称保存一组设置
command-preset-save-name = 保存
command-preset-save-description = 保存一组设置：取自一张图片，或由你填写
command-preset-list-name = 列表
command-preset-list-description = 查看你的预设
command-preset-delete-name = 删除
command-preset-delete-description = 删除一个预设
option-name-name = 名称
option-image-name = 图片
option-prefix-name = 前缀
option-size-name = 尺寸
option-negative-name = 不想要的
option-cfg-name = cfg强度
option-guidance-name = 引导强度
option-sampler-name = 采样器
option-clip-skip-name = clip跳层
option-strength-name = 重绘强度
preset-name = 预设的名称
preset-image = 取这个编号的图片的设置，不含文字和种子
preset-prefix = 放在你的文字前面
preset-suffix = 放在你的文字后面
preset-strength = 起始图片重绘多少，大于 0，最大 1
preset-title = 你的预设（{ $count } / { $limit }）
preset-none = 还没有预设。用 `/预设 保存` 存一个。
preset-shared = 大家共用：
preset-footer = 在 /imagine 的 preset 选项里使用
preset-saved = 已保存预设 **{ $name }**：{ $settings }
preset-deleted = 预设已删除。
value-aspect = 画幅
value-size = 尺寸
value-steps = 步数
value-model = 模型
value-strength = 重绘强度
defaults-model-gone = 你或本频道选择的“{ $model }”已经不在这里，改用 { $usual } 来画。
defaults-unfit = { $model } 不支持预设里的这些设置，已去掉：{ $names }
defaults-words-left-out = 提示词已经太长，你的预设或设置里的文字没有全部加上。

## 私密图片和剧透

button-show-me = 👁️ 给我看
queue-private = 🔒 私密
note-private-done = ✅ #{ $job_id } 画好了，是私密图片。用 `/历史` 查看，只有你能看到。
private-waits-dm = 🔒 私密：只有你能看到这条消息。画好后我会私信发给你。
private-waits-button = 🔒 私密：只有你能看到这条消息。画好后我会在这里说一声，只有你能打开。
private-ready = 🔒 { $who } · 你的私密图片 { $numbers } 画好了，只有你能打开。
private-ended = 🔒 { $who } · 你的私密图片 { $numbers } 已经结束，原因只有你能看到。
private-direct-hint = -# 在服务器里用 `/历史` 可以再次查看，并使用图片的按钮。
private-sent-dm = ✅ 好了，已经私信发给你。
private-sent-button = ✅ 好了，按这个按钮或频道里的按钮打开。
private-cancelled = 🚫 已取消，没有人看到任何内容。

## 起始图片和消息菜单

menu-use = 用作起始图片
menu-vary = 微调
menu-info = 图片信息
menu-remove = 移除
form-file = 哪个文件
form-picture = 哪张图片
form-reason = 原因（会告诉提交者）
form-file-use-title = 从这张图片画起
form-file-vary-title = 微调这张图片
form-remove-title = 移除图片 #{ $job_id }
no-image-here = 这条消息里没有可用的图片，需要是 PNG、JPEG 或 WebP 附件。
message-forgotten = 我已看不到那条消息的文件，请重新打开它的菜单。
not-our-message = 我只能移除自己画的图片，请直接删除这条消息。
nothing-in-file = 这个文件里没有写它是怎样画出来的。
file-says = { $writer ->
        [ours] -# 读自文件，格式与本机器人相同。文件里的内容任何人都可以改。
        [a1111] -# 读自文件，格式与 Stable Diffusion WebUI 相同。文件里的内容任何人都可以改。
       *[comfyui] -# 读自文件，格式与 ComfyUI 相同。文件里的内容任何人都可以改。
    }
request-lost = ⚠️ 还没拿到你的图片，我就重启了，这次请求没有保存下来。没有扣你的次数，请再试一次。
download-failed = 暂时无法从 Discord 取得这张图片，请稍后再试。
download-too-slow = 从 Discord 取这张图片超过了 { $limit_s } 秒。请再试一次，或换一个小一点的文件。
option-image-description = 从哪张图片画起：PNG、JPEG 或 WebP
option-strength-description = 图片重画多少：轻微、适中、强烈，或 0.6、60%
strength-choice = { $name ->
        [subtle] 轻微
        [medium] 适中
        [strong] 强烈
       *[other] 重绘强度
    } · { $value }
flags-taken-strength = 重绘强度 { $value ->
        [subtle] 轻微
        [medium] 适中
        [strong] 强烈
       *[other] { $value }
    }
invalid-image-too-large = 起始图片超过了 { $max_image_mib } MiB，请换一个小一点的文件。
invalid-image-too-many-pixels = 起始图片的像素太多：最多 { $max_image_megapixels }00 万，PNG 和 WebP 最多 { $max_whole_megapixels }00 万。
invalid-image-too-long = 起始图片太细长：长边最多是短边的 { $ratio } 倍。
invalid-image-unreadable = 这个文件不能作为图片读取。请用 PNG、JPEG 或 WebP 文件。
invalid-image-not-offered = { $model } 不能从图片画起。请换一个模型，或者不加图片。
invalid-strength-without-image = 重绘强度表示起始图片要重画多少。请添加一张图片，或者不填重绘强度。

## 隐私

command-privacy-name = 隐私
command-privacy-description = 查看、导出或删除保存的你的数据
command-privacy-show-name = 查看
command-privacy-show-description = 查看保存了你的哪些数据
command-privacy-export-name = 导出
command-privacy-export-description = 导出你的图片和你的全部数据
command-privacy-delete-name = 删除
command-privacy-delete-description = 删除你的图片和你的全部数据
option-part-name = 分卷
option-part-description = 导出文件有多个分卷时，要第几卷
privacy-title = 保存了你的哪些数据
privacy-no-requests = 没有请求，也没有图片。
privacy-counts = 请求：**{ $jobs }** · 图片：**{ $images }**（{ $mib } MiB）· 收藏 ⭐：{ $kept } · 私密：{ $hidden } · 排队或绘制中：{ $unfinished }
privacy-oldest = 最早的请求：{ $when }。
privacy-settings = 设置：{ $names }
privacy-presets = 预设：{ $names }
privacy-own-limit = 管理员给你的额度：每天 { $count } 张图片。
privacy-ban = 你已被禁止绘图，直到管理员解除。
privacy-ban-until = 禁止绘图的截止时间：{ $when }。
privacy-where-title = 保存在哪里
privacy-where = 在运行我的电脑上：你的 Discord ID、提示词及其参数和时间存在数据库里，图片和起始图片存成文件。运行我的人都能看到。消息保存在 Discord 上。
privacy-how-long-title = 保留多久
privacy-how-long = 请求结束后保留 { $days } 天。收藏 ⭐ 的图片保留到你取消收藏，设置和预设保留到你更改。
privacy-delete-title = `/隐私 删除` 会删什么
privacy-delete = 你的图片（包括收藏的）、提示词、起始图片、设置和预设、提示词的编码缓存，以及我发的带有你图片的消息。排队中的图片会取消。当天的额度、禁令和管理员设定的额度继续有效，只记在一个看不出你的名字和 ID 的代码下。
privacy-stays-title = 哪些删不了
privacy-stays = 我已无权删除的消息；`/查看`、私信或其他人留下的副本；别人用你的图片画出的图片；别人用相同文字的请求；别处的备份。
privacy-export =
    { $parts ->
        [1] 这是你的全部数据，
       *[other] 这是你的全部数据的第 { $part } 卷（共 { $parts } 卷），
    }{ $images ->
        [0] 这个文件里没有图片。
       *[other] 这个文件里有 { $images } 张图片。
    }这条消息只有你能看到。
privacy-export-next = 下一卷：`/隐私 导出 分卷:{ $next }`
privacy-export-too-large = 有 { $count } 张图片超过 Discord 的文件大小限制（{ $names }）。用 `/查看`，再点“更多”→“原文件”，可以得到较小的版本；完整文件可以找运行我的人要。
privacy-export-missing = 有 { $count } 张图片的文件已经不在了。
privacy-export-refused = Discord 没有接收这个文件：对这里来说太大了。请到允许更大文件的服务器上再试，或找运行我的人要。
privacy-question = **删除你的全部数据？**
    { $images ->
        [0] 提示词、设置和预设
       *[other] { $images } 张图片、提示词、设置和预设
    }将彻底消失{ $kept ->
        [0] { "" }
       *[other] ，收藏 ⭐ 的也不例外
    }。排队中的图片会取消。可以先用 `/隐私 导出` 留一份副本。
privacy-button = 🗑️ 全部删除
privacy-erased = 你的全部数据已删除。我发的带有你图片的消息会按 Discord 允许的速度逐条删除。
privacy-erased-soon = 你的全部数据已删除。内存里剩下的部分，等正在画的图片画完就会清除；我发的带有你图片的消息会按 Discord 允许的速度逐条删除。
privacy-erasing = 正在删除你的全部数据。这次比平时久，会自动继续，重启后也不会中断；用 `/隐私 查看` 可以看到是否已经删完。
being-erased = 正在删除你的全部数据，请稍后再试。
already-exporting = 正在为你打包一份副本，请等它完成。

## 放大

# × 后面的数字是每条边放大的倍数。
button-upscale = ⬆️ 放大
cannot-upscale = { $reason ->
        [again] 图片 #{ $job_id } 已经放大过了。
       *[other] { $model } 无法放大这个尺寸的图片。
    }
invalid-upscale-not-offered = { $model } 不支持放大图片。
card-upscaled = 已放大 ×2。只用这条命令，画出来的是放大前的尺寸。
info-upscaled = 已放大 ×2，重绘强度 { $strength }
console-upscaled = { $settings } · 已放大 ×2，重绘强度 { $strength }

## 运行

# 显示在机器人名字下方，最多 128 个字符；所有服务器的人都能看到。
presence-idle = /imagine
presence-waiting = { $count } 张排队
presence-waiting-for = { $count } 张排队，约 { $time }
presence-paused = 已暂停
presence-paused-waiting = 已暂停，{ $count } 张排队
presence-paused-until = 已暂停至 { $time }
presence-paused-waiting-until = 已暂停至 { $time }，{ $count } 张排队
span-seconds = { $count } 秒
span-minutes = { $count } 分钟
span-hours = { $count } 小时
# 发给机器人维护者。
alert-paused = ⚠️ 不再开始绘制新图片。{ $paused }
alert-paused-over = ✅ 队列已恢复。
alert-engine-failed = 🛑 绘图引擎出错，机器人即将退出。排队的图片保留位置。原因见日志。
alert-restarted = 🔁 我回来了。上次是意外退出：程序崩溃、断电，或进程被强行结束。{ $count ->
        [0] 当时没有图片在排队。
       *[other] { $count } 张图片保留了位置。
    } { $lost ->
        [0] { "" }
       *[other] { $lost } 张图片绘制失败：每次崩溃时都正在绘制它们。
    }
alert-disk-low = { $is_full ->
        [1] 🛑 磁盘快满了：剩余 { $free_mib } MiB。低于 { $floor_mib } MiB 时不接受新请求。
       *[other] ⚠️ 磁盘空间不多了：剩余 { $free_mib } MiB。低于 { $floor_mib } MiB 时将不接受新请求。
    }
alert-disk-low-over = ✅ 磁盘又有空间了：剩余 { $free_mib } MiB。
alert-permission-lost = ⚠️ 我无法再在 { $server } 的 { $channel } 发图片：被 Discord 拒绝。请检查我在那里的权限。只要对方开放私信，图片会通过私信送达。
alert-permission-lost-over = ✅ 我又可以在 { $server } 的 { $channel } 发图片了。
alert-commands-lost = ⚠️ 我的命令（{ $where }）被别的程序修改或删除，现已重新注册；重新加载 Discord（Ctrl+R）后即可看到。
alert-commands-refused = ⚠️ 我无权注册命令（{ $where }）。请用 `imagine-bot invite` 的链接重新邀请我。
alert-commands-refused-over = ✅ 命令已注册。
alert-everywhere = 所有服务器
alert-database-damaged = 🛑 我的数据库已损坏或丢失，机器人即将退出。处理办法见 docs/operating.md 的 “A damaged database” 一节；在此之前不会绘图。
stats-waits = 24 小时内的等待时间：一半图片不超过 { $half }，95% 不超过 { $most }
stats-people = **本服务器各成员的绘图时间**：24 小时 / 7 天
stats-person = { $who } · { $today } / { $week }
stats-models = **各模型的图片数**（24 小时）：{ $models }
stats-failures = **失败原因**（24 小时）：{ $failures }
stats-count = { $name } { $count }
stats-failure-generation-failed = 绘制出错
stats-failure-out-of-memory = 显存不足
stats-failure-timeout = 超时
stats-failure-interrupted = 两次中断
stats-failure-model-missing = 缺少模型文件
stats-failure-invalid-spec = 设置无效
stats-failure-storage = 磁盘
stats-failure-unreadable = 设置损坏
stats-failure-newer-release = 来自更新的版本
stats-failure-blocked = 图片审查
stats-failure-other = 其他

## Models

model-demo = 演示：表情符号场景

## 提示词翻译

prompt-translated = 已翻译，模型读到的是：{ $text }
prompt-untranslated = ⚠️ 这次没能把提示词翻译成英文。
negative-foreign = ⚠️ 这个模型只认识英文，而负面提示词没能翻译，请用英文写。
help-translated = 只认识英文的模型，机器人会先把其他语言的提示词翻译成英文，消息里两种都会显示。

## 用文字修改图片

failure-input-gone = 这张图片要用到的一张图片已经不再保存，不计入额度。请附上图片重新提交。
stats-failure-input-gone = 图片已不再保存
invalid-references-too-many = 一次修改最多用 { $limit } 张图片，请减少几张。
invalid-references-not-offered = { $model } 不能用文字修改图片。请换一个模型，或者不加图片。
edit-started-from = { $model } 不能用文字修改图片，所以改为从你的图片画起。请描述想要的整个画面。
edit-first-only = { $model } 只能用一张图片，所以只用了第一张。
edit-strength-unused = 修改图片时没有重绘强度，所以忽略了强度。
card-edited = 这张图片是用文字修改 { $count } 张图片得到的，命令里带不上这些图片；只用这条命令，画出来的会不一样。
info-edited = 用文字修改，用到 { $count } 张图片
form-change = 改什么
form-change-hint = 例如：改成夜晚。加上 --strength 0.6 则改为重画这张图片。
form-change-title = 修改图片 #{ $job_id }
form-file-change-title = 修改这张图片
edit-say-what = 请在回复里写明要改什么，例如“改成夜晚”。
edit-images-hidden = Discord 不让我看到别人消息里的图片。请在那条消息上打开“应用 → 用作起始图片”，或者把图片附在回复里。
edit-which = 那条消息里有好几张图片。请在上面打开“应用 → 用作起始图片”，选其中一张。
edit-original-gone = 你回复的那条消息已被删除。
edit-from-private = 这张图片是私密的，画好后会私信发给你。
option-image-edit-description = 要用文字修改的图片；写了强度则从它画起
option-image2-description = 修改时用到的第二张图片
option-image3-description = 修改时用到的第三张图片
edit-word-refused = 这些词里有这里不画的。用 `/imagine` 提交，会只告诉你是哪个。
console-source-more = 另一张图片
console-way = 怎样使用图片
console-way-edit = 用文字修改
console-way-start = 从它画起
console-edited = { $settings } · 由 { $count } 张图片修改而成

## LoRA

invalid-loras-unreadable = LoRA 的写法是名称，后面可以加强度：`ink:0.8, film`。
invalid-loras-unknown = 这里没有名为“{ $name }”的 LoRA。{ $model } 可以用：{ $names }
invalid-loras-none-here = 这里没有名为“{ $name }”的 LoRA，也没有 { $model } 可用的 LoRA。
invalid-loras-other-base = LoRA“{ $name }”不是为 { $model } 训练的，可以搭配：{ $models }
invalid-loras-no-base = LoRA“{ $name }”不是为 { $model } 训练的，这里也没有它适用的模型。
invalid-loras-many = 一张图片最多用 { $most } 个 LoRA。
invalid-loras-weight = LoRA 强度必须是 -{ $most } 到 { $most } 的数字，不能是 0，例如 `ink:0.8`。
invalid-loras-not-offered = { $model } 不能使用 LoRA，请去掉，或换一个模型。
invalid-speed-unknown = 速度只能选 `fast`，不填就是平常的速度。
invalid-speed-not-offered = { $model } 在这里没有快速模式，请去掉速度这一项。
flags-taken-loras = LoRA { $value }
setting-loras = LoRA
settings-loras = LoRA：{ $loras }
lora-triggers = 💡 { $title } 的触发词：{ $words }。写进提示词里，效果会更明显。
option-lora-description = 风格等 LoRA，最多三个，数字是强度，例如 ink:0.8, film
option-speed-description = 快速：步数少得多
speed-fast = 快速：步数更少
console-loras = LoRA
console-loras-hint = 最多三个，可加强度：ink:0.8, film
console-speed = 速度
failure-lora-missing = 这张图片要用的 LoRA 已经不在了，或者文件已损坏、不适合这个模型，不计入额度。请去掉它再画，或告诉机器人维护者。
stats-failure-lora-missing = 缺少 LoRA

## Images of age-restricted channels

age-restricted = 图片 #{ $job_id } 是在年龄限制频道里画的，只能在这样的频道里展示。
## `check` 和 `models` 推荐的模型

recommended-both = { $first }{ $second }
recommended-used = { $model } 适合这台电脑：{ $reads ->
        [zh] 看得懂中文和英文，
        [en] 看得懂英文，
       *[any] {""}
    }每张图 { $steps } 步，许可证{ $commercial ->
        [yes] 允许商用
       *[no] 不允许商用
    }。
recommended-here = 现在用的是 { $used }；{ $model } 更适合这台电脑，文件也已经在这里：{ $reads ->
        [zh] 看得懂中文和英文，
        [en] 看得懂英文，
       *[any] {""}
    }每张图 { $steps } 步，许可证{ $commercial ->
        [yes] 允许商用
       *[no] 不允许商用
    }。
recommended-fetch = 现在用的是 { $used }；{ $model } 更适合这台电脑，需要下载 { $size } GB：{ $reads ->
        [zh] 看得懂中文和英文，
        [en] 看得懂英文，
       *[any] {""}
    }每张图 { $steps } 步，许可证{ $commercial ->
        [yes] 允许商用
       *[no] 不允许商用
    }。
recommended-on-cpu-here = 没有可用的显卡，所以用的是 { $used }；{ $model } 也在这里，每张图要几分钟。
recommended-on-cpu-fetch = 没有可用的显卡，所以用的是 { $used }；下载 { $size } GB 的 { $model } 就能画各种图片，每张要几分钟。
recommended-only-demo = 这台电脑只能用 { $model }：其他模型需要别的显卡或更多内存。
recommended-unread = 它只看得懂英文，中文提示词要靠翻译模型：imagine-bot fetch translator。
recommended-commercial-here = 商用请选 { $model }，文件已经在这里。
recommended-commercial-fetch = 商用请选 { $model }，需要下载 { $size } GB。

## 预设里的 LoRA

option-lora-name = lora模型

## 一张表单里的多张图片

form-files = 哪些文件（最多三个）
form-more = 还要参考的图片
form-more-hint = 可不填，最多 { $count } 张；总共三张图片。

## 负面提示词的译文

negative-translated = 负面提示词的译文：{ $text }
## Operating

command-admin-release-name = 释放显存
command-admin-release-description = 把显存让给其他程序；画下一张图时会重新加载模型
admin-release-done = 模型已移出显存。画下一张图时会重新加载；`/admin pause` 可以阻止加载。
admin-release-after-image = 当前的绘制或加载一完成，模型就会移出显存。
admin-release-nothing = 显存中没有模型。
admin-no-model = 显存中没有模型，画下一张图时会加载。
flags-taken-fresh = 重新绘制
card-repeat = 💡 这张图片已经画过：提示词、设置和种子都相同。加上 `--fresh` 可以重新绘制。
memory-taken = 🐢 其他程序占用了 { $gib } GiB 显存，所以这次会慢一些。
## 页面：页眉、示例、图片

page-model = { $model }
page-queue-idle = 可以开始画
page-language = 语言
page-help = 帮助
page-close = 关闭
page-previous = 上一张图片
page-next = 下一张图片
page-welcome = 你想看到什么？
page-examples-demo = 点一个示例，它就会填到表单里。这些图片是内置的演示模型根据这些文字画的。
page-examples-other = 点一个示例，它就会填到表单里。这些提示词适合 { $model }。
page-image-label = { $prompt }，{ $job_id } 号，{ $time }
page-look-closely = 放大查看：{ $prompt }，{ $job_id } 号
page-nothing-found = 没有符合条件的图片。
page-kept-only = 只看收藏的图片
page-all-models = 全部模型
page-models = 模型
page-select = 选择
page-select-done = 完成
page-selected = 已选 { $n } 张
page-zip = ⬇ 下载为 ZIP
page-keep = ⭐ 收藏
page-delete = 🗑️ 删除
page-compare = 对比
page-compare-hint = 请正好选择两张图片进行对比。
page-too-many = 一个 ZIP 文件最多 { $most } 张图片。
page-delete-one = 永久删除这张图片？文件和提示词都会消失，但仍计入今天的限额。
page-delete-many = 永久删除这 { $n } 张图片？文件和提示词都会消失，但仍计入今天的限额。
page-yes-delete = 永久删除
page-no = 取消
page-drop = 松开即可使用这张图片
page-used = 图片已放到表单的“更多设置”里。
page-not-used = 这不是可用的图片。支持 PNG、JPEG 和 WebP。
page-keys = 快捷键
page-key-draw = 开始画
page-key-arrows = 在图片之间移动
page-key-enter = 放大显示图片
page-key-select = 选择图片
page-key-keep = 收藏图片，或取消收藏
page-key-delete = 删除图片（会先询问）
page-key-escape = 关闭打开的内容
page-help-draw = 写下想画的内容，然后点“开始画”。期间可以关闭页面：图片会继续画好，在这里等你。
page-help-images = 点一张图片可以放大查看。下面是继续的方式：换种子再画、改文字、微调或放大。
page-help-input = 要从一张图片开始，把它拖到页面任意位置或直接粘贴。自己的图片也可以拖。
page-kept = 已收藏 { $count } 张图片。
page-kept-no-longer = 已取消收藏 { $count } 张图片。
page-deleted = 已删除 { $count } 张图片。
page-help-known = 这个模型能画的全部 { $count } 种东西
page-help-private = 访问这个页面的人里，只有这个浏览器能看到你的图片；运行本服务的人也能看到。它们保存 { $days } 天，收藏（⭐）的会一直保留。

## The page's form, when it is offline, and its operator's corner

console-unsent = 服务没有响应，没有任何内容加入队列。你写的内容会留在这里：服务恢复后请再按一次“开始画”。
console-ready = 图片已完成：
console-room = { $count ->
        [0] 你的额度目前已满。
       *[other] 你的额度目前还能容纳 { $count } 张图片。
    }
console-drop-one = { $asked } 张中有 { $queued } 张已加入队列，最后一张放不下：{ $reason }
console-drop-some = { $asked } 张中有 { $queued } 张已加入队列，另外 { $dropped } 张放不下：{ $reason }
page-operator = 管理角
operator-title = 管理角
operator-back = 返回页面
operator-leave = 退出
operator-enter = 进入
operator-enter-hint = 这里只供运行本服务的人使用。
operator-password = 管理密码
operator-closed = 这里需要管理密码。
operator-wrong = 管理密码不对。
operator-too-many = 同时尝试的密码太多，请几秒后再试。
operator-queue = 队列
operator-queue-empty = 没有正在画的图片，也没有人在等待。
operator-moving = 正常接收任务并绘制。
operator-day = 24 小时内：完成 { $done }，失败 { $failed }，取消 { $cancelled }，绘制用时 { $drawn }。已运行 { $uptime }。
operator-cancel-one = 取消图片 #{ $job_id }
operator-reason = 暂停原因（可不填，所有等待的人都会看到）
operator-until = 直到（可不填）
operator-until-hint = 30m、18:00
operator-pause = 暂停
operator-resume = 继续
operator-runners = 执行者
operator-runner = 执行者 { $number }
operator-runner-empty = 内存中没有模型
operator-runner-holds = 内存中是 { $model }
operator-runner-draws = 正在画图片 #{ $job_id }
operator-runner-loads = 正在加载模型，约剩 { $left }
operator-runner-rests = 多次失败，休息 { $left }
operator-runner-idle = 空闲
operator-storage = 存储
operator-storage-sizes = 数据库 { $database } · 图片文件 { $images } 个，{ $image_size } · 剩余空间 { $free }
operator-storage-unreadable = 无法读取大小，原因见日志。
operator-limits = 上限
operator-limits-hint = 在配置文件中修改，下次启动后生效。
operator-limit-max-waiting = 等待的图片总数
operator-limit-max-active-per-user = 每人同时的请求数
operator-limit-max-images-per-day = 每人 24 小时内的图片数
operator-limit-cooldown-s = 有人等待时，同一人两次请求间隔的秒数
operator-limit-max-pixel-steps = 一张图片的像素 × 步数
operator-limit-people-per-address = 一个网络地址最多相当于几个人
operator-limit-history-days = 图片保留的天数
operator-limit-min-free-mib = 磁盘剩余少于多少 MiB 时不再接收任务
operator-log = 日志
operator-log-hint = 最近的日志，不含提示词和密码。
trouble-more = 解决办法：docs/troubleshooting.zh-CN.md#{ $entry }

## Backups and the GPU's memory in the operator's corner

operator-backup = 立即备份
operator-backup-made = 备份已完成并校验：{ $file }，{ $images } 张图片，{ $size }。
operator-backup-lacks = 数据库中有 { $count } 张图片无法打开，未包含在内。
operator-backup-failed = 无法备份：{ $reason }
operator-release = 释放显存
operator-released = 模型已离开显存。画下一张图片时会重新加载；暂停可以让它不再加载。

## What the parts of the page's fields are called aloud

page-reset = 恢复默认值
page-upload = 上传图片
page-paste = 粘贴图片
